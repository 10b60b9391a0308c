"""What a map has to show before it is believed: checks, limits and reasons, fixed beforehand.

The limits stand here and nowhere else, so that nobody chooses them after seeing a map. Two kinds of
numbers are compared. *Similarity* of two maps is their correlation over the map's values, whose
size is the share of a map's variance that the other repeats: 0.5 is half of what a reader sees.
*Gains* are differences in the score between the map and a rival; more than nothing is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

NECESSARY = "necessary"
IF_POSSIBLE = "necessary where it can be made"
REPORTED = "reported"

PASS, FAIL, NOT_MADE = "pass", "fail", "not made"
UNDECIDED = "not decided"

ADEBAYO = "Adebayo et al. 2018, doi 10.48550/arXiv.1810.03292"
SAMEK = "Samek et al. 2017, doi 10.1109/TNNLS.2016.2599820"
PETSIUK = "Petsiuk et al. 2018, doi 10.48550/arXiv.1806.07421"
YEH = "Yeh et al. 2019, doi 10.48550/arXiv.1901.09392"
HANLEY = "Hanley & McNeil 1982, doi 10.1148/radiology.143.1.7063747"
KERBY = "Kerby 2014, doi 10.2466/11.IT.3.1"
_ONE_SEED = "one network a fold; train with n_seeds of 2 or more (any rung but embedding)"
HALF_REASON = "0.5: half of what a reader sees"


@dataclass(frozen=True)
class Check:
    """One question to a map, and the limit its answer is held against.

    Parameters
    ----------
    name : str
        Name of the measured value, see `explainability.card_measures`.
    question : str
        In plain words; the answer wanted is yes.
    limit : float
        The whole 95 % interval over patients must lie on the right side of it.
    side : {"above", "below"}
        Which side that is.
    role : str
        `NECESSARY`: no map passes without it. `IF_POSSIBLE`: decides where it can be made.
        `REPORTED`: shown, decides nothing.
    unit : str
        Of estimate and limit.
    reason : str
        Why this limit.
    source : str
        Where the check comes from.
    if_missing : str
        What the card says where it could not be made.
    beside : str
        Another measured value to name beside the estimate, and what it is.
    """

    name: str
    question: str
    limit: float
    side: str
    role: str
    unit: str
    reason: str
    source: str
    if_missing: str = "it was not measured"
    beside: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        """Refuse sides and roles that no rule knows."""
        if self.side not in ("above", "below"):
            raise ValueError(f"side must be 'above' or 'below', got {self.side!r}. Choose one.")
        roles = (NECESSARY, IF_POSSIBLE, REPORTED)
        if self.role not in roles:
            raise ValueError(f"role must be one of {roles}, got {self.role!r}. Choose one.")


_OTHERS = ("random_weights_floor", "random weights and the map of another patient")

CHECKS: tuple[Check, ...] = (
    Check(
        "network_learnt",
        "Does the network rank held-out patients with the event, or a high number, above others?",
        0.5, "above", NECESSARY, "AUROC",
        "0.5 is chance: a network that learnt nothing has nothing to show", HANLEY,
        if_missing="no outcomes of held-out patients were given",
    ),
    Check(
        "random_weights",
        "Is the map another one when all weights are made random?",
        0.5, "below", NECESSARY, "similarity",
        f"{HALF_REASON} would come from the ECG and the architecture alone", ADEBAYO,
        beside=_OTHERS,
    ),
    Check(
        "random_upper_weights",
        "Is it another one when the half of the layers next to the output is made random?",
        0.9, "below", NECESSARY, "similarity",
        "0.9: as good as the same map, whatever the network decides; what its lower layers have "
        "learnt may keep the places", ADEBAYO,
    ),
    Check(
        "random_labels",
        "Is it another one when the network is trained on shuffled outcomes?",
        0.5, "below", IF_POSSIBLE, "similarity",
        f"{HALF_REASON} would not depend on the outcome", ADEBAYO,
        if_missing="no networks trained on shuffled outcomes were given",
    ),
    Check(
        "seed_agreement",
        "Do networks that differ by chance alone give the same map?",
        0.5, "above", NECESSARY, "similarity",
        f"{HALF_REASON} must not change with the seed", ADEBAYO,
        if_missing=_ONE_SEED,
        beside=("seed_floor", "maps of different patients"),
    ),
    Check(
        "seed_above_floor",
        "Do they agree better on one ECG than on ECGs of two patients?",
        0.0, "above", NECESSARY, "difference of similarities",
        "0: agreement that any two ECGs have says nothing about the patient", ADEBAYO,
        if_missing=_ONE_SEED,
    ),
    Check(
        "repeat_agreement",
        "Do networks of other training patients, which had not seen this one either, agree?",
        0.5, "above", REPORTED, "similarity",
        f"{HALF_REASON} must not change with the training patients", ADEBAYO,
        if_missing="one repeat of the split was trained; set n_network_repeats to 2 or more",
    ),
    Check(
        "deletion",
        "Does replacing what the map ranks highest lower the score more than random places do?",
        0.0, "above", NECESSARY, "score",
        "0: no better than chance", SAMEK,
    ),
    Check(
        "insertion",
        "Does keeping only what it ranks highest restore the score more than random places do?",
        0.0, "above", NECESSARY, "score",
        "0: no better than chance", PETSIUK,
    ),
    Check(
        "deletion_qrs",
        "Does deletion by the map do more than deletion of the QRS complexes?",
        0.0, "above", REPORTED, "score",
        "0: 'it looks at the QRS complexes' would say as much", SAMEK,
    ),
    Check(
        "insertion_qrs",
        "Does insertion by the map do more than insertion of the QRS complexes?",
        0.0, "above", REPORTED, "score",
        "0: 'it looks at the QRS complexes' would say as much", PETSIUK,
    ),
    Check(
        "planted_truth",
        "Does it find the planted sign more often than the same windows at another time?",
        1.0, "above", IF_POSSIBLE, "times",
        "1: what a map without preference has there", ADEBAYO,
        if_missing="the cohort has no planted sign",
    ),
    Check(
        "planted_above_size",
        "Does it find the planted sign better than the size of the deflections does?",
        0.0, "above", REPORTED, "share of the map",
        "0: the ECG itself would point there as well", ADEBAYO,
        if_missing="the cohort has no planted sign",
    ),
    Check(
        "noise",
        "Does it stay the same under noise no reader of the ECG would see?",
        0.5, "below", NECESSARY, "relative change",
        "0.5: half of the map's size", YEH,
    ),
    Check(
        "time_shift",
        "Does it move along when the ECG is shifted in time?",
        0.5, "below", NECESSARY, "relative change",
        "0.5: half of the map's size", YEH,
    ),
    Check(
        "part_shift",
        "Does it do so too when the ECG is shifted by half a step of the network more?",
        0.5, "below", REPORTED, "relative change",
        "0.5: half of the map's size; strides that skip samples cannot follow a part of a step "
        "(Zhang 2019, arXiv:1904.11486)", YEH,
    ),
    Check(
        "size",
        "Does it show more than how large the deflections are?",
        0.71, "below", NECESSARY, "correlation",
        "0.71: its square, half of the map's variance, would be that of the deflections", ADEBAYO,
    ),
    Check(
        "qrs",
        "Does it show more than where the QRS complexes are?",
        0.8, "below", REPORTED, "rank-biserial correlation",
        "0.8: nine of ten values inside the QRS complexes rank above one outside", KERBY,
    ),
)  # fmt: skip

RULE = (
    "A map fails if any check fails that decides; it passes if every necessary check was made and "
    "passed; otherwise it is not decided. A check passes if its whole 95 % interval over patients "
    "lies on the right side of the limit, which was fixed beforehand."
)
