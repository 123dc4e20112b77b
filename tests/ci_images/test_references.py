"""References by the OCI grammar, and the mapping between source and private names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ci.images import parse, private_name, rules_of, source_name
from shared.ci.places import mirrors_of, places_of
from shared.ci.private_names import registry_of

REGISTRY = "ai-nexus:5001"
DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("ruby", "docker.io/library/ruby:latest"),
        ("ruby:3.2", "docker.io/library/ruby:3.2"),
        ("org/x:1", "docker.io/org/x:1"),
        ("index.docker.io/library/ruby:3.2", "docker.io/library/ruby:3.2"),
        ("docker.io/ruby", "docker.io/library/ruby:latest"),
        ("localhost/x", "localhost/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("127.0.0.1:5000/a/b/c:t", "127.0.0.1:5000/a/b/c:t"),
        ("gcr.io/kaniko-project/executor:v1.23.2-debug", "gcr.io/kaniko-project/executor:v1.23.2-debug"),
        (f"ruby@{DIGEST}", f"docker.io/library/ruby@{DIGEST}"),
        (f"host:1/ruby:3@{DIGEST}", f"host:1/ruby:3@{DIGEST}"),
        ("a__b/c--d", "docker.io/a__b/c--d:latest"),
        ("[::1]:5000/x:1", "[::1]:5000/x:1"),
    ],
)
def test_a_reference_is_completed_with_the_defaults(text: str, whole: str) -> None:
    """Host, `library/` and `latest` are filled in as Docker does; nothing else changes."""
    assert str(parse(text)) == whole


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Ruby:3",
        "ruby:",
        "ruby :3",
        "ruby:a b",
        "ruby:" + "x" * 129,
        "x" * 300,
        "$(reboot)",
        "a//b",
        "/a",
        "a/",
        "-a",
        "a..b",
        "a___b",
        "host:port/x",
        "ruby@sha256:abc",
        "ruby@",
        "ruby@" + DIGEST.upper(),
        "https://docker.io/ruby",
        "ruby:é",
        "ruby;reboot",
        "${REGISTRY}/ruby:3",
        "ruby\n",
    ],
)
def test_what_the_grammar_refuses_is_refused_with_a_sentence(text: str) -> None:
    """A bad reference raises ValueError that names the image and what is wrong with it."""
    with pytest.raises(ValueError, match=r"^image "):
        parse(text)


@pytest.mark.parametrize(
    ("source", "private"),
    [
        ("docker.io/library/ruby:3.2", f"{REGISTRY}/ruby:3.2"),
        ("ruby:3.2", f"{REGISTRY}/ruby:3.2"),
        ("docker.io/org/x:1", f"{REGISTRY}/org/x:1"),
        ("gcr.io/p/x:1", f"{REGISTRY}/gcr.io/p/x:1"),
        ("ghcr.io/x:1", f"{REGISTRY}/ghcr.io/x:1"),
        (f"ruby@{DIGEST}", f"{REGISTRY}/ruby@{DIGEST}"),
        (f"{REGISTRY}/ruby:3.2", f"{REGISTRY}/ruby:3.2"),
    ],
)
def test_the_private_name_follows_the_rules(source: str, private: str) -> None:
    """Docker Hub's images lose their host, all others keep it; a private name stays as it is."""
    assert private_name(source, REGISTRY) == private


def test_a_source_with_a_port_has_no_private_name() -> None:
    """A colon cannot be part of a path, so such a source is refused and not quietly renamed."""
    with pytest.raises(ValueError, match="has a port"):
        private_name("other:5000/x:1", REGISTRY)


def test_a_name_outside_the_registry_has_no_source() -> None:
    """The inverse exists for private names alone."""
    with pytest.raises(ValueError, match="is not in the registry"):
        source_name("docker.io/library/ruby:3.2", REGISTRY)


@pytest.mark.parametrize("registry", [REGISTRY, "127.0.0.1:5001", "gitlab.example.com/group/mirror"])
@pytest.mark.parametrize(
    "source",
    ["docker.io/library/ruby:3.2", "docker.io/org/x:1", "gcr.io/p/x:1", f"quay.io/a/b/c@{DIGEST}", "ghcr.io/x:1"],
)
def test_the_mapping_goes_both_ways(source: str, registry: str) -> None:
    """The source of the private name of a source is that source, also below a path of the registry."""
    assert source_name(private_name(source, registry), registry) == source


@given(
    st.sampled_from(["docker.io", "gcr.io", "registry.gitlab.com"]),
    st.lists(st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)?", fullmatch=True), min_size=2, max_size=4),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
)
def test_the_mapping_is_its_own_inverse(domain: str, path: list[str], tag: str) -> None:
    """For every source by the grammar, mapping there and back changes nothing."""
    source = f"{domain}/{'/'.join(path)}:{tag}"
    assert source_name(private_name(source, REGISTRY), REGISTRY) == source


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_a_value_error(text: str) -> None:
    """No text makes the parser fail in another way, and what it accepts it accepts again."""
    try:
        image = parse(text)
    except ValueError:
        return
    assert parse(str(image)) == image


@pytest.mark.parametrize(
    ("source", "private"),
    [
        ("docker.io/library/ruby:3.2", f"{REGISTRY}/hub/library/ruby:3.2"),
        ("docker.io/org/x:1", f"{REGISTRY}/hub/org/x:1"),
        ("gcr.io/p/x:1", f"{REGISTRY}/google/p/x:1"),
        (f"quay.io/a/b@{DIGEST}", f"{REGISTRY}/quay.io/a/b@{DIGEST}"),
    ],
)
def test_an_installation_has_rules_of_its_own(source: str, private: str) -> None:
    """IMAGE_NAMES comes before the table, in both directions; names by the table are still understood."""
    rules = rules_of("docker.io/=hub/, gcr.io/=google/")
    assert private_name(source, REGISTRY, rules) == private
    assert source_name(private, REGISTRY, rules) == source
    assert source_name(private_name(source, REGISTRY), REGISTRY, rules) == source


@pytest.mark.parametrize("text", ["docker.io", "docker.io/", "docker.io=hub/", "docker.io/=Hub/", "docker.io/=hub"])
def test_a_rule_that_is_none_is_refused(text: str) -> None:
    """A slip in IMAGE_NAMES is a sentence at the start of every service, not an image under a wrong name."""
    with pytest.raises(ValueError, match="is no rule"):
        rules_of(text)


def test_mirrors_and_caches_are_places_in_order() -> None:
    """A mirror has every source under its full name, a cache one registry's without its host; the source comes last."""
    mirrors = mirrors_of("docker.io=cache:5000, https://mirror.example/all , gcr.io=http://g:1/x")
    places = places_of("ruby:3", mirrors, own=True)
    assert [(p.name, p.scheme, p.own) for p in places] == [
        ("cache:5000/library/ruby:3", "", False),
        ("mirror.example/all/docker.io/library/ruby:3", "https", False),
        ("docker.io/library/ruby:3", "", True),
    ]
    (_, cached) = places_of(f"gcr.io/p/x@{DIGEST}", mirrors, own=False)
    assert (cached.name, cached.host, cached.scheme) == (f"g:1/x/p/x@{DIGEST}", "g:1", "http")


@pytest.mark.parametrize(
    "text",
    ["mirror", "docker.io=", "a b:1", "=cache:1", "x$y=cache:1", "a.io=b.io=c:1", "hub=c:1", "docker.io/library=c:1"],
)
def test_a_mirror_that_is_none_is_refused(text: str) -> None:
    """A slip in SEED_MIRRORS is a sentence, before anything is asked."""
    with pytest.raises(ValueError, match="is no mirror"):
        mirrors_of(text)


def test_a_cache_is_of_a_registry_however_its_name_is_written() -> None:
    """Upper case, and spaces around the sign, leave no cache without its images."""
    (mirror,) = mirrors_of("Docker.IO = cache:1")
    assert (mirror.of, mirror.where) == ("docker.io", "cache:1")


def test_a_password_in_a_mirror_is_not_repeated() -> None:
    """What is said of a setting is in the log."""
    with pytest.raises(ValueError, match="SEED_AUTH_FILE") as said:
        mirrors_of("docker.io=https://user:hunter2@cache:1")
    assert "hunter2" not in str(said.value)


@pytest.mark.parametrize("text", ["docker.io/=hub/, ghcr.io/=hub/", "quay.io/="])
def test_two_sources_never_have_the_same_private_names(text: str) -> None:
    """One of them would be copied under the name of the other."""
    with pytest.raises(ValueError, match="has the private names"):
        rules_of(text)


def test_a_private_name_that_is_another_sources_is_refused() -> None:
    """Where a rule's names lie below another one's, the one image that both mean is nobody's."""
    rules = rules_of("gcr.io/=hub/gcr/, docker.io/=hub/")
    assert private_name("gcr.io/p/x:1", REGISTRY, rules) == f"{REGISTRY}/hub/gcr/p/x:1"
    with pytest.raises(ValueError, match=r"is that of gcr\.io/p/x:1; change IMAGE_NAMES"):
        private_name("docker.io/gcr/p/x:1", REGISTRY, rules)


@pytest.mark.parametrize(
    "text", ["", "nexus", "http://nexus:5001", "nexus:5001/", "nexus:5001/Team", "docker.io", "a b:1"]
)
def test_what_no_image_can_be_named_in_is_no_registry(text: str) -> None:
    """A slip in NEXUS_REGISTRY is a sentence at the start; `nexus/x` would be an image of Docker Hub."""
    with pytest.raises(ValueError, match="is no registry"):
        registry_of(text)


@pytest.mark.parametrize(
    "text", ["nexus:5001", "nexus.example.com", "localhost", "[::1]:5000", "gitlab.example.com/a/b"]
)
def test_a_host_with_a_port_or_a_dot_is_a_registry(text: str) -> None:
    """With or without a path below which the images are."""
    assert registry_of(text) == text
