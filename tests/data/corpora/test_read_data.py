"""Every name of a reader leads to a module that reads, and says where its data are from."""

import inspect
from importlib import import_module

import pytest
from error_table import errors

import refmer
from refmer.data.corpora import READERS

CORPORA = ("crema_d", "ravdess", "emodb", "msp_improv", "iemocap")


@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_a_path(name):
    module = import_module(f"refmer.data.corpora.{READERS[name]}")
    first, *others = inspect.signature(module.read).parameters.values()
    assert first.name == "path" and all(p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in others)


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_has_a_place_terms_and_a_layout(name):
    module = import_module(f"refmer.data.corpora.{name}")
    assert "\nWhere: " in module.__doc__ and "\nLayout" in module.__doc__ and "Published: " in module.read.__doc__


test_errors = errors(
    (lambda: refmer.read_data("ravdess"), "data is 'ravdess'; accepted: NAME:PATH with a NAME of crema_d, ravdess, emodb"),
    (lambda: refmer.read_data("ravdess:"), "data is 'ravdess:'; accepted: NAME:PATH"),
    (lambda: refmer.read_data("ravdes:x"), "data is 'ravdes'; accepted: 'crema_d', 'ravdess'"),
)
