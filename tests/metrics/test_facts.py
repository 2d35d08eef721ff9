"""Numbers, dates and names that the article lacks: cases by hand, and real summaries."""

import json
import math

import pytest

from trainer.data.sentences import split_sentences
from trainer.metrics.facts import Article, Fact, facts, facts_of, unsupported
from trainer.summarizers.extracts import extracts


def numbers(*texts):
    return [("number", text) for text in texts]


def found(text):
    return [(fact.kind, fact.text) for fact in facts_of(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # numbers, in digits and words
        ("It cost £3.50 and 1,200 came.", [("number", "£3.50"), ("number", "1,200")]),
        ("Four of twenty boats sank, one drifted.", [("number", "Four"), ("number", "twenty")]),
        ("It weighed 35lbs and cost 7.4m.", [("number", "35"), ("number", "7.4m")]),
        ("It cost $2.4 million, 5% of two hundred and fifty.", numbers("$2.4 million", "5%", "two hundred and fifty")),
        ("A three-year plan, the third of 20.", numbers("three", "third", "20")),
        ("The second boat sank once.", []),
        # dates
        ("They met on Monday, 12 May 2019.", [("date", "Monday"), ("number", "12"), ("date", "May"), ("date", "2019")]),
        ("It may rain; they march. May it rain!", []),
        ("It opened in March 1999 and in june.", [("date", "March"), ("date", "1999"), ("date", "june")]),
        # names
        ("The mayor met Ann Orm in Port Ellery.", [("name", "Ann Orm"), ("name", "Port Ellery")]),
        ("Ann Orm left. Boats sank.", [("name", "Ann Orm")]),
        ("When Marine Le Pen came, I left.", [("name", "Marine Le Pen")]),
        ("BBC staff and the Bank of England agree.", [("name", "BBC"), ("name", "Bank of England")]),
        ("Using Bayesian nets on Seq2Seq", [("name", "Bayesian"), ("name", "Seq2Seq")]),
        ('She said: "Nobody knew." He nodded.', []),
        ("Mr Orm saw Dr. Vell's plan B.", [("name", "Orm"), ("name", "Vell's")]),
        ("Leinster won. Police said so, campaigners too. Rivals' fans came.", [("name", "Leinster")]),
        ("There'd be boats. YouTube has them. Resorts in the U.S. closed.", [("name", "YouTube"), ("name", "US")]),
        ("The Prime Minister left.", []),  # titles alone are no names
        ("everything in one case , as in cnn 's copy .", []),
        ("", []),
        ("?! — …", []),
    ],
)
def test_what_counts_as_a_fact(text, expected):
    assert found(text) == expected


@pytest.mark.parametrize(
    ("summary", "article", "lacking"),
    [
        ("It took 12 boats.", "The 12 boats left.", []),
        ("It took 12 boats.", "The 120 boats left in 2012.", ["12"]),
        # another spelling of the same
        ("It took 1,200 hours at 7.50.", "It took 1200 hours at 7.5 each.", []),
        ("It took four boats.", "It took 4 boats.", []),
        ("It took 4 boats.", "Four boats left.", []),
        ("They met Ann Orm's son.", "The son of ANN ORM is here.", []),
        ("They met Ann Orm.", "the ann-orm archive", []),
        ("They met the GPs of the UK.", "A GP came from the United Kingdom.", []),
        ("They met the BBC.", "The British Broadcasting Corporation said so.", []),
        ("They met the BBC.", "British boats broke cables.", ["BBC"]),
        # numbers by value, and as exact as they are stated
        ("It cost £2.4m.", "It cost 2.4 million pounds.", []),
        ("It cost £2.4m.", "It cost £2,400,000.", []),
        ("It cost £2.4m.", "It cost £2,398,120.", []),
        ("It cost £2.4m.", "It cost £2.6m, 2.4% of all.", ["£2.4m"]),
        ("It took three boats.", "The third boat came.", []),
        ("It took 250 boats.", "It took two hundred and fifty.", []),
        ("It took 25 boats.", "It took twenty-five.", []),
        ("It took 12%.", "It took 12 per cent.", []),
        ("It took 200 boats.", "It took 213 boats.", ["200"]),  # one figure is too rough
        ("It lasted two years.", "Both years were bad.", []),
        # dates by their parts, cut short or in a pair of years
        ("They met in September 2019.", "They met on 3 Sept, in 2018-19.", []),
        ("They met in mid-September.", "They met in early September.", []),
        ("They met in September 2019.", "They met on 3 August, in 2018-20.", ["September", "2019"]),
        # names by their parts: titles, peoples, plurals, initials
        ("They met Prime Minister Ann Orm.", "Mrs Orm came. Ann is well.", []),
        ("They met Mr Orm.", "Ann Orm came.", []),
        ("They met Ann Orm.", "Mr Orm came.", ["Ann Orm"]),
        ("They met Léa Orm.", "Lea Orm came.", []),
        ("They met the Brazilian Ann Orm.", "Ann Orm is from Brazil.", []),
        ("They met Welsh and Dutch singers.", "They came from Wales and the Netherlands.", []),
        ("They met Russian singers.", "They came from Ruritania.", ["Russian"]),
        ("They met the RSPB.", "The Royal Society for the Protection of Birds said so.", []),
        ("They met the Royal Bird Society.", "RBS said so.", []),
        ("They met in the U.S. and the UK.", "They met in the US, not in Britain.", []),
        # a name of one word is a name in the article too, unless that has no capitals
        ("They met in Reading.", "They met while reading.", ["Reading"]),
        ("They met in Reading.", "they met in reading .", []),
        ("Reading was there.", "They met while reading.", []),
        ("Leinster won.", "Ulster won.", ["Leinster"]),
        # part of a name is not the name
        ("They met Ann Orm in Port Ellery.", "Ann Vell lives in Port Ellery.", ["Ann Orm"]),
        ("They met on Monday in May 2019.", "They met in 2019, on a Tuesday in June.", ["Monday", "May"]),
        ("They met on 3 May 2019.", "They met on 3 June 2018.", ["May", "2019"]),
        ("Anything at all.", "", []),
        ("They met Ann.", "", ["Ann"]),
    ],
)
def test_what_the_article_lacks(summary, article, lacking):
    assert [fact.text for fact in unsupported(summary, article)] == lacking


def test_figures_by_hand():
    predictions = ["They met Ann Orm and Eve Vell in 12 boats on Monday.", "They met Ann Orm.", "nothing stated", ""]
    source = "Ann Orm came on Monday with two boats."
    values = {name: (figure.value, figure.n) for name, figure in facts(predictions, [""] * 4, [source] * 4).items()}
    assert values == {
        "unsupported_number_share": (1.0, 1),  # 12
        "unsupported_date_share": (0.0, 1),
        "unsupported_name_share": ((1 / 2 + 0) / 2, 2),  # Eve Vell
        "unsupported_facts_share": (1 / 4, 4),
    }
    nothing = facts([""], [""], [""])
    assert math.isnan(nothing["unsupported_name_share"].value)
    assert nothing["unsupported_facts_share"].value == 0.0
    assert nothing["unsupported_facts_share"].signature == (
        "unsupported_facts_share|tool:trainer|facts:regex-v2|split:regex-v1"
    )


def test_an_article_supports_all_its_own_sentences(shared_data):
    """So extracts have no unsupported fact, on all three kinds of text; references of XSum have many."""
    for data in ("xsum", "scitldr", "cnn_dailymail"):
        lines = (shared_data / data / "test.jsonl").read_text("utf-8").splitlines()[:150]
        sources = [json.loads(line)["document"] for line in lines]
        leads = [" ".join(split_sentences(source)[:3]) for source in sources]
        assert facts(leads, leads, sources)["unsupported_facts_share"].value == 0.0
    rows = [json.loads(line) for line in (shared_data / "xsum" / "test.jsonl").read_text("utf-8").splitlines()[:300]]
    summaries, sources = [row["summary"] for row in rows], [row["document"] for row in rows]
    assert facts(summaries, summaries, sources)["unsupported_facts_share"].value > 0.5


def test_swapped_articles_support_little(shared_data):
    """The measure sees something: most summaries state facts that another article lacks."""
    rows = [json.loads(line) for line in (shared_data / "xsum" / "test.jsonl").read_text("utf-8").splitlines()[:200]]
    leads = [" ".join(split_sentences(row["document"])[:3]) for row in rows]
    others = [row["document"] for row in rows[1:] + rows[:1]]
    assert facts(leads, leads, others)["unsupported_name_share"].value > 0.8


def test_initials_leave_out_the_little_words():
    assert Article("The Bank of Port Ellery closed.").supports(Fact("name", "BPE", ("bpe",)))


def test_every_sentence_that_may_be_chosen_is_supported(shared_data):
    """So the choice among an article's own sentences does not depend on what counts as a fact."""
    for line in (shared_data / "xsum" / "test.jsonl").read_text("utf-8").splitlines()[300:400]:
        source = json.loads(line)["document"]
        article = Article(source)
        assert [fact for text in extracts(source) for fact in unsupported(text, article)] == []
