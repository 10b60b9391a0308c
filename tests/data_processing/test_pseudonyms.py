"""Pseudonyms: stable, and with a key the same everywhere and found by nobody else."""

import hashlib

import pytest

from data_processing.pseudonyms import pseudonyms, read_key

KEY = b"k" * 32


def test_without_a_key_the_numbers_do_not_follow_the_order_of_the_table():
    names = [f"HOSP-{k}" for k in range(200)]
    forth, back = pseudonyms(names, "P", 4), pseudonyms(names[::-1], "P", 4)
    assert forth == back
    assert sorted(forth.values()) == [f"P{k:04d}" for k in range(1, 201)]
    assert [forth[name] for name in names] != sorted(forth.values())


def test_with_a_key_a_patient_has_one_pseudonym_in_every_cohort():
    one = pseudonyms(["A", "B", "C"], "P", 4, key=KEY)
    other = pseudonyms(["C", "D"], "P", 4, key=KEY)
    assert one["C"] == other["C"]
    assert len(set(one.values())) == 3
    assert pseudonyms(["C"], "P", 4, key=b"x" * 32)["C"] != one["C"]


def test_the_keyed_hash_is_the_hmac_of_rfc_4231():
    # test case 2: key "Jefe", data "what do ya want for nothing?"
    found = pseudonyms(["what do ya want for nothing?"], "P", 4, key=b"Jefe")
    assert list(found.values()) == ["P5bdcc146bf60754e"]


def test_a_plain_hash_of_the_identifier_does_not_occur():
    digest = hashlib.sha256(b"HOSP-7").hexdigest()
    assert digest[:6] not in pseudonyms(["HOSP-7"], "P", 4, key=KEY)["HOSP-7"]


@pytest.mark.parametrize("content", [b"", b"short", b"  15-bytes-only-x \n"])
def test_a_short_key_is_refused(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ValueError, match=r"pseudonym_key must hold at least 16 bytes, got \d+\."):
        read_key(tmp_path / "key")


def test_a_key_is_read_without_its_line_end(tmp_path):
    (tmp_path / "key").write_bytes(KEY + b"\r\n")
    assert read_key(tmp_path / "key") == KEY
    with pytest.raises(FileNotFoundError, match=r"pseudonym_key must be a file"):
        read_key(tmp_path / "nothing")
