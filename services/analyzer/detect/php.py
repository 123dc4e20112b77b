"""PHP: Composer; Laravel, Symfony, Slim and the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.analyzer.detect.project import Ecosystem, Names, framework_of, some, unique, versions
from services.analyzer.detect.releases import Pin, first_line, pin, tool
from services.analyzer.detect.view import table
from shared.events import Analysis, Commands, Dependency, Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.analyzer.detect.view import View

PROJECT = frozenset({"composer.json"})
NAMES = PROJECT | {".php-version"}
FRAMEWORKS: dict[str, str] = {
    "laravel/framework": "laravel",
    "laravel/lumen-framework": "lumen",
    "laravel-zero/framework": "laravel-zero",
    "drupal/core": "drupal",
    "drupal/core-recommended": "drupal",
    "magento/product-community-edition": "magento",
    "shopware/core": "shopware",
    "craftcms/cms": "craft",
    "statamic/cms": "statamic",
    "typo3/cms-core": "typo3",
    "roots/wordpress": "wordpress",
    "johnpbloch/wordpress": "wordpress",
    "contao/core-bundle": "contao",
    "api-platform/core": "symfony",
    "symfony/framework-bundle": "symfony",
    "symfony/symfony": "symfony",
    "codeigniter4/framework": "codeigniter",
    "codeigniter/framework": "codeigniter",
    "yiisoft/yii2": "yii",
    "yiisoft/yii": "yii",
    "cakephp/cakephp": "cakephp",
    "laminas/laminas-mvc": "laminas",
    "mezzio/mezzio": "mezzio",
    "zendframework/zendframework": "zend",
    "phalcon/devtools": "phalcon",
    "slim/slim": "slim",
    "mikecao/flight": "flight",
    "flightphp/core": "flight",
    "leafs/leaf": "leaf",
    "bcosca/fatfree": "fatfree",
    "bcosca/fatfree-core": "fatfree",
    "hyperf/framework": "hyperf",
    "spiral/framework": "spiral",
    "nette/application": "nette",
    "silverstripe/framework": "silverstripe",
    "tempest/framework": "tempest",
}
CONFIGURATIONS = {
    "artisan": "laravel",
    "wp-config.php": "wordpress",
    "wp-load.php": "wordpress",
    "spark": "codeigniter",
}


def detect(view: View) -> Analysis | None:
    """What the folder is as PHP; None where nothing says that it is."""
    composer = view.json("composer.json")
    if not view.has("composer.json") and not view.ending("php"):
        return None
    dependencies = unique(_dependencies(composer))
    runtime = {dependency.name for dependency in dependencies if not dependency.dev}
    framework, said = framework_of(view, FRAMEWORKS, runtime, ["composer.json"])
    if framework is None:
        configured = next((name for name in CONFIGURATIONS if view.has(name)), None)
        framework = CONFIGURATIONS[configured] if configured else None
        said = Evidence(source=configured, about="framework") if configured else None
    version = versions("php", _pins(view))
    names = {dependency.name for dependency in dependencies}
    runner = "pest" if "pestphp/pest" in names else "phpunit" if "phpunit/phpunit" in names else None
    managed = view.has("composer.json")
    licence = composer.get("license")
    return Analysis(
        language="php",
        framework=framework,
        **version.fields,
        package_manager="composer" if managed else None,
        lockfile=view.first("composer.lock"),
        dependencies=dependencies,
        commands=Commands(
            install="composer install --no-interaction --prefer-dist" if managed else None,
            test=f"vendor/bin/{runner}" if runner else None,
            lint="vendor/bin/pint --test" if "laravel/pint" in names else None,
            start="php artisan serve --host 0.0.0.0" if framework == "laravel" else None,
        ),
        entry_point=view.first("public/index.php", "index.php", "web/index.php"),
        has_tests=bool(view.matching(r"tests?/.*\.php")),
        test_runner=runner,
        licence=licence if isinstance(licence, str) else None,
        manifests=tuple(path for path in sorted(NAMES) if view.has(path)),
        evidence=some(said, *version.evidence),
    )


def _dependencies(composer: dict[str, object]) -> Iterable[Dependency]:
    for key, dev in (("require", False), ("require-dev", True)):
        for name, constraint in table(composer, key).items():
            if name != "php":
                yield Dependency(name=name, constraint=str(constraint), dev=dev)


def _pins(view: View) -> Iterable[Pin | None]:
    """What says which PHP, in the order in which it counts."""
    composer = view.json("composer.json")
    for version in (table(composer, "require").get("php"), table(composer, "config", "platform").get("php")):
        yield pin(view, "composer.json", version if isinstance(version, str) else None)
    yield first_line(view, ".php-version")
    yield tool(view, "php")


ecosystem = Ecosystem(("php",), Names(NAMES), Names(PROJECT), detect)
