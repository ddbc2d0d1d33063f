"""``ntk-air datasets``: every set, every option with what it does and its default."""

import pytest

from ntk_air import cli
from ntk_air.data.catalogue import dataset_names, dataset_options, describe_dataset


def datasets(*arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["datasets", *arguments])
    return ended.value.code or 0


def test_all_sets_are_listed(capsys):
    assert datasets() == 0
    printed = capsys.readouterr().out
    for name in dataset_names():
        assert f"\n{name} " in f"\n{printed}"


@pytest.mark.parametrize("name", dataset_names())
def test_every_option_of_a_set_says_what_it_takes_and_does(name, capsys):
    says, options = describe_dataset(name)
    assert tuple(option.name for option in options) == dataset_options(name)
    assert says
    assert "Raises" not in says
    for option in options:
        assert len(option.says) > 3, option
        assert option.takes, option
    assert datasets(name) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for option in options:
        assert option.name in printed
    assert ("--data-dir" in printed) == (name in ("mnist", "fashion_mnist", "kmnist", "cifar10",
                                                  "cifar10n", "sms_spam"))  # fmt: skip


def test_defaults_are_those_of_the_loader(capsys):
    described = {name: describe_dataset(name)[1] for name in ("clusters", "sms_spam", "csv")}
    defaults = {
        (name, option.name): option.default for name in described for option in described[name]
    }
    assert defaults["clusters", "spread"] == "0.05"
    assert defaults["sms_spam", "balanced"] == "no"
    assert defaults["csv", "path"] is None
    assert defaults["csv", "leave_out"] == "none"
    assert {option.name: option.takes for option in described["sms_spam"]} == {
        "tokens": "words or characters",
        "n_tokens": "whole number",
        "balanced": "yes or no",
    }
    assert datasets("csv") == 0
    assert "must be given" in capsys.readouterr().out


def test_an_unknown_set_is_refused(capsys):
    assert datasets("nothing") == 2
    assert "name must be one of 'digits'" in capsys.readouterr().err
