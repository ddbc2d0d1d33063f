"""Claims shared out among processes."""

from ntk_air.claims import all_claims
from ntk_air.lab.verification.shares import SECONDS, n_processes, seconds_of, shares


def test_times_are_known_of_claims_that_there_are():
    names = {claim.name for claim in all_claims()}
    assert not SECONDS.keys() - names


def test_a_section_stays_together_and_the_longest_goes_first():
    claims = all_claims()
    made = shares(claims)
    assert sorted(claim.name for share in made for claim in share) == sorted(
        claim.name for claim in claims
    )
    seconds = [seconds_of(share) for share in made]
    assert seconds == sorted(seconds, reverse=True)
    six = [claim.name for claim in next(share for share in made if share[0].name == "6a")]
    assert six == [claim.name for claim in all_claims(["6"])]
    arora = next(share for share in made if share[0].name.startswith("11-arora"))
    assert len(arora) > 1 and all(claim.name.startswith("11-arora") for claim in arora)


def test_processes_are_started_where_they_are_worth_it():
    claims = all_claims()
    assert n_processes(claims, None, 2) == 2
    assert n_processes(claims, None, 1) == 1
    assert n_processes(all_claims(["1e", "4a"]), None, 8) == 1  # seconds
    assert n_processes(all_claims(["1e", "4a"]), 8, 8) == 2  # asked for; sections stay together
    assert n_processes(all_claims(["6"]), 4, 8) == 1
    assert n_processes([], None, 8) == 1
