"""Pseudonyms in place of original identifiers.

Without a key, patients become P0001, P0002, ... and records R00001, R00002, ... in the order of a
hash of their identifiers: the numbers do not change when a table is sorted differently and do not
reveal the order of admission. They mean something within one cohort only.

With a key, a pseudonym is a keyed hash of the identifier alone (HMAC-SHA-256, RFC 2104): whoever
holds the key gives one patient the same pseudonym in every cohort, and nobody else can find it by
trying all hospital numbers, as is possible with a plain hash.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

MIN_KEY_BYTES = 16
_N_HEX = 16  # of the keyed hash: 64 bits, one clash expected among five billion identifiers


def read_key(path: str | Path) -> bytes:
    """Return the secret key from a file, without the blanks and line ends around it.

    Raises
    ------
    FileNotFoundError
        If the file is not there.
    ValueError
        If the key has fewer than 16 bytes.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            "pseudonym_key must be a file that holds the secret key, got no such file. Make one, "
            "for example with: python -c 'import secrets; print(secrets.token_hex())'"
        )
    key = path.read_bytes().strip()
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(
            f"pseudonym_key must hold at least {MIN_KEY_BYTES} bytes, got {len(key)}. Make one "
            "with: python -c 'import secrets; print(secrets.token_hex())'"
        )
    return key


def pseudonyms(
    identifiers: Iterable[str], letter: str, n_digits: int, *, key: bytes = b""
) -> dict[str, str]:
    """Return a pseudonym for each identifier.

    Parameters
    ----------
    identifiers
        Distinct texts.
    letter
        First character: P for patients, R for records.
    n_digits
        Least number of digits where there is no key.
    key
        Secret key; empty: numbers in the order of a hash.

    Returns
    -------
    dict
        Identifier to pseudonym.

    Raises
    ------
    ValueError
        If two identifiers get one pseudonym.

    Examples
    --------
    >>> sorted(pseudonyms(["HOSP-7", "HOSP-8"], "P", 4).values())
    ['P0001', 'P0002']
    """
    texts = list(dict.fromkeys(str(identifier) for identifier in identifiers))
    if not key:
        ordered = sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())
        width = max(n_digits, len(str(len(ordered))))
        return {text: f"{letter}{number:0{width}d}" for number, text in enumerate(ordered, 1)}
    found = {
        text: letter + hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:_N_HEX]
        for text in texts
    }
    if len(set(found.values())) < len(found):
        raise ValueError("pseudonyms must differ, two are equal. Use another key.")
    return found
