"""Sources of claims: each is a paper of the list or a section of docs/theory.md."""

import pytest

from ntk_air.claims import all_claims
from ntk_air.claims.sources import PAPERS, papers_of


@pytest.mark.parametrize("claim", all_claims(), ids=lambda claim: claim.name)
def test_every_citation_of_a_claim_is_a_paper_of_the_list_or_a_section(claim):
    for citation in claim.source.split(";"):
        if "theory.md" not in citation:
            assert len(papers_of([citation])) == 1, citation


def test_papers_have_keys_of_their_own_and_are_cited():
    keys = [paper.bibtex().partition(",")[0] for paper in PAPERS]
    assert len(set(keys)) == len(keys)
    assert papers_of(claim.source for claim in all_claims()) == list(PAPERS)


def test_a_paper_is_found_by_its_first_author_and_year():
    assert [each.theory for each in papers_of(["Lee et al. 2019; docs/theory.md"])] == ["lee"]
    assert papers_of(["Lee et al. 2018", "with Lee et al. 2019"]) == []
    both = papers_of(["Mobahi et al. 2020; Borup, Andersen 2021"])
    assert [paper.year for paper in both] == [2020, 2021]
