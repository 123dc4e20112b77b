"""What stands around the program: the services it needs, system packages, the licence, files that exist already."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.analyzer.detect.view import table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.analyzer.detect.view import View

COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
LICENCES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "LICENCE.md", "COPYING", "LICENSE-MIT", "UNLICENSE")
NAMES = frozenset({"Dockerfile", *COMPOSE, *LICENCES, "Aptfile"})
EXISTING = (
    *(".gitlab-ci.yml", "Dockerfile", "Containerfile", ".dockerignore", *COMPOSE, ".github/workflows"),
    *("Jenkinsfile", ".circleci", ".travis.yml", "azure-pipelines.yml", "bitbucket-pipelines.yml", ".drone.yml"),
    *("Procfile", "Makefile", "Justfile", "Taskfile.yml", "Earthfile", "skaffold.yaml", "helm", "charts"),
)
# Service → words that name it: a dependency has one as a part of its name (between the beginning, the end, and
# `-_./:@`), an image in compose as its last part.
SERVICES: dict[str, frozenset[str]] = {
    service: frozenset(words.split())
    for service, words in {
        "postgresql": "postgresql postgres psycopg psycopg2 psycopg2-binary asyncpg pg8000 aiopg pg pgx pq "
        "postgrex npgsql "
        "tokio-postgres libpqxx ext-pgsql ext-pdo_pgsql postgis timescaledb pgvector",
        "mysql": "mysql mysql2 mysqlclient pymysql aiomysql asyncmy mysqljs myxql "
        "mysqlconnector mariadb trilogy ext-mysqli",
        "mongodb": "mongodb mongo pymongo motor mongoose mongoid mongo-driver ext-mongodb beanie mongoengine",
        "redis": "redis ioredis hiredis aioredis go-redis redigo predis redix sidekiq resque bull bullmq jedis lettuce "
        "stackexchange.redis valkey django-redis rq ext-redis",
        "rabbitmq": "rabbitmq amqplib amqp pika aio-pika bunny amqp091-go amqp-client lapin php-amqplib kombu",
        "kafka": "kafka kafkajs kafka-python confluent-kafka aiokafka rdkafka sarama spring-kafka ruby-kafka brod",
        "elasticsearch": "elasticsearch opensearch opensearch-py elasticsearch-rails go-elasticsearch searchkick",
        "memcached": "memcached pymemcache pylibmc dalli memjs memcache",
        "nats": "nats nats-py nats.go nats.js async-nats jnats",
        "cassandra": "cassandra cassandra-driver gocql scylla",
        "neo4j": "neo4j neo4j-driver",
        "clickhouse": "clickhouse clickhouse-driver clickhouse-connect clickhouse-go",
        "minio": "minio",
    }.items()
}
OPTION = re.compile(r"(?:--port|--bind\s+\S+?:|(?<!\S)-p)[ =]?(\d{2,5})\b")
MAX_PORT = 65535
SPLIT = re.compile(r"[/:@]|(?<=\w)\.(?=js$|go$)")
# Dependency → Debian packages that building or running it needs.
SYSTEM: dict[str, tuple[str, ...]] = {
    "psycopg2": ("libpq-dev", "gcc"),
    "mysqlclient": ("default-libmysqlclient-dev", "gcc", "pkg-config"),
    "pycairo": ("libcairo2-dev", "pkg-config", "gcc"),
    "pdf2image": ("poppler-utils",),
    "pytesseract": ("tesseract-ocr",),
    "pydub": ("ffmpeg",),
    "opencv-python": ("libgl1", "libglib2.0-0"),
    "python-magic": ("libmagic1",),
    "weasyprint": ("libpango-1.0-0", "libpangoft2-1.0-0"),
    "python-ldap": ("libldap2-dev", "libsasl2-dev", "gcc"),
    "gdal": ("libgdal-dev", "gcc"),
    "lxml": (),
    "xmlsec": ("libxmlsec1-dev", "pkg-config", "gcc"),
    "canvas": ("libcairo2-dev", "libpango1.0-dev", "libjpeg-dev", "build-essential"),
    "puppeteer": ("chromium",),
    "sharp": (),
    "node-gyp": ("build-essential", "python3"),
    "pg": ("libpq-dev",),
    "mysql2": ("default-libmysqlclient-dev",),
    "nokogiri": (),
    "rmagick": ("libmagickwand-dev", "pkg-config"),
    "ruby-vips": ("libvips42",),
    "image_processing": ("libvips42",),
    "sqlite3": ("libsqlite3-dev",),
    "openssl-sys": ("libssl-dev", "pkg-config"),
    "openssl": ("libssl-dev", "pkg-config"),
    "ext-imagick": ("libmagickwand-dev",),
    "ext-gd": ("libpng-dev", "libjpeg-dev"),
    "ext-intl": ("libicu-dev",),
    "ext-zip": ("libzip-dev",),
    "ext-pgsql": ("libpq-dev",),
    "ext-pdo_pgsql": ("libpq-dev",),
}
# The same name means another package elsewhere: only in these languages does it need them.
ONLY_IN = {
    "pg": "ruby",
    "mysql2": "ruby",
    "sqlite3": "ruby",
    "openssl": "rust",
}
LICENCE_TEXTS: tuple[tuple[str, str], ...] = (
    (r"Apache License\s+Version 2\.0", "Apache-2.0"),
    (r"GNU AFFERO GENERAL PUBLIC LICENSE\s+Version 3", "AGPL-3.0"),
    (r"GNU LESSER GENERAL PUBLIC LICENSE\s+Version 3", "LGPL-3.0"),
    (r"GNU LESSER GENERAL PUBLIC LICENSE\s+Version 2\.1", "LGPL-2.1"),
    (r"GNU GENERAL PUBLIC LICENSE\s+Version 3", "GPL-3.0"),
    (r"GNU GENERAL PUBLIC LICENSE\s+Version 2", "GPL-2.0"),
    (r"Mozilla Public License,? [Vv]ersion 2\.0", "MPL-2.0"),
    (r"Eclipse Public License\s*-? v(?:ersion)? ?2\.0", "EPL-2.0"),
    (r"Boost Software License", "BSL-1.0"),
    (r"This is free and unencumbered software", "Unlicense"),
    (r"CC0 1\.0 Universal", "CC0-1.0"),
    (r"Permission is hereby granted, free of charge", "MIT"),
    (r"Permission to use, copy, modify, and/or distribute", "ISC"),
    (r"Neither the name of", "BSD-3-Clause"),
    (r"Redistribution and use in source and binary forms", "BSD-2-Clause"),
)


def needed_services(view: View, names: Iterable[str]) -> tuple[str, ...]:
    """The services that the dependencies and compose files name, sorted."""
    words: set[str] = set()
    for name in names:
        lower = name.lower()
        words |= {lower, *SPLIT.split(lower)}
    for path in COMPOSE:
        for entry in table(view.yaml(path), "services").values():
            image = table(entry).get("image")
            if isinstance(image, str):
                words.add(image.partition("@")[0].rpartition("/")[2].partition(":")[0].lower())
    return tuple(sorted(service for service, marks in SERVICES.items() if words & marks))


def system_packages(view: View, language: str, names: Iterable[str]) -> tuple[str, ...]:
    """Debian packages that the dependencies are known to need, and those of an Aptfile; sorted."""
    found = {
        package
        for name in names
        if ONLY_IN.get(name.lower(), language) == language
        for package in SYSTEM.get(name.lower(), ())
    }
    return tuple(sorted(found | set(view.lines("Aptfile"))))


def licence(view: View) -> str | None:
    """The SPDX identifier of the licence file; None where it is missing or unknown."""
    path = view.first(*LICENCES)
    text = view.text(path)[:4000] if path else ""
    return next((name for pattern, name in LICENCE_TEXTS if re.search(pattern, text, re.IGNORECASE)), None)


def ports(view: View) -> tuple[int, ...]:
    """The ports of an existing Dockerfile, else of what compose builds, else of the web process; as they are named."""
    exposed = re.findall(r"(?im)^\s*EXPOSE\s+(\d{1,5})\b", view.script("Dockerfile"))
    found = exposed or _compose_ports(view) or OPTION.findall(view.web_command() or "")
    return tuple(dict.fromkeys(int(port) for port in found if 0 < int(port) <= MAX_PORT))


def _compose_ports(view: View) -> list[str]:
    """The container's side of the ports of the services that compose builds from this folder."""
    entries = [entry for path in COMPOSE for entry in table(view.yaml(path), "services").values()]
    built = [table(entry) for entry in entries if "build" in table(entry)]
    said = [str(port) for entry in built if isinstance(entry.get("ports"), list) for port in entry["ports"]]
    return [found[1] for port in said if (found := re.fullmatch(r"(?:.*:)?(\d{1,5})(?:/tcp)?", port))]


def existing(view: View) -> tuple[str, ...]:
    """Which of the files for building and deploying are there already."""
    folders = {path.partition("/")[0] for path in view.paths} | {"/".join(path.split("/")[:2]) for path in view.paths}
    return tuple(name for name in EXISTING if view.has(name) or name in folders)
