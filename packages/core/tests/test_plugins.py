"""Plugins that are missing, broken, doubled or misspelt: told where they are used, harmless elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

BACKENDS = "[flambeau.backends]\n"
HOOKS = "[flambeau.hooks]\n"
NAMESPACES = "[flambeau.namespaces]\n"


class Site:
    """A folder of installed distributions and an interpreter that sees it first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, dist: str, entry_points: str, **modules: str) -> None:
        info = self.folder / f"{dist.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "entry_points.txt").write_text(entry_points)
        for name, text in modules.items():
            (self.folder / f"{name}.py").write_text(dedent(text))

    def run(self, code: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(self.folder), *filter(None, sys.path)])
        return subprocess.run(
            [sys.executable, *options, "-c", dedent(code)],
            env={**os.environ, "PYTHONPATH": path, **environment},
            capture_output=True,
            text=True,
            cwd=self.folder,
        )

    def says(self, code: str, *options: str, **environment: str) -> str:
        done = self.run(code, *options, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


LOAD = """
    from flambeau import plugins
    from flambeau.errors import BackendError
    for _ in range(2):
        try:
            print(plugins.load_backend_entry("npu"))
        except BackendError as error:
            print(error)
"""


def test_a_backend_is_loaded_by_name(site: Site) -> None:
    site.add(
        "my-npu", BACKENDS + "npu = my_npu:holder.backend\n", my_npu="class holder: backend = 'the backend'"
    )
    assert site.says(LOAD).splitlines() == ["the backend"] * 2


def test_a_missing_backend_names_those_that_are_there(site: Site) -> None:
    site.add("my-tpu", BACKENDS + "tpu = my_tpu:backend\n")
    text = site.says(LOAD)
    assert "[device] no plugin provides device 'npu': needed: one of the installed backends" in text
    assert "tpu" in text
    assert "flambeau doctor" in text


def test_a_broken_backend_says_why_and_what_mends_it_and_is_not_tried_again(site: Site) -> None:
    site.add(
        "my-npu", BACKENDS + "npu = my_npu:backend\n", my_npu="print('tried'); import nothing_of_that_name"
    )
    first, *texts = site.says(LOAD).splitlines()
    assert first == "tried"
    assert len(texts) == 2
    assert texts[0] == texts[1]
    assert (
        "my-npu 1.2 (my_npu:backend) raised ModuleNotFoundError: No module named 'nothing_of_that_name'"
        in texts[0]
    )
    assert texts[0].endswith("To mend it: pip install --force-reinstall my-npu==1.2")


def test_a_broken_backend_harms_nothing_else(site: Site) -> None:
    site.add("a-broken", BACKENDS + "npu = a_broken:backend\n", a_broken="raise SystemError('dead')")
    site.add("b-sound", BACKENDS + "tpu = b_sound:backend\n", b_sound="backend = 'sound'")
    code = """
        import flambeau
        from flambeau import plugins
        try:
            plugins.load_backend_entry("npu")
        except RuntimeError:
            pass
        print(plugins.load_backend_entry("tpu"))
        print(*(plugins.status(plugins.find("backends", name)) for name in ("npu", "tpu")), sep=" | ")
    """
    assert site.says(code).splitlines() == ["sound", "failed: SystemError: dead | loaded"]


def test_a_backend_provided_twice_names_both(site: Site) -> None:
    site.add("my-npu", BACKENDS + "npu = my_npu:backend\n")
    site.add("your-npu", BACKENDS + "npu = your_npu:backend\n")
    text = site.says(LOAD)
    assert "my-npu 1.2" in text
    assert "your-npu 1.2" in text
    assert "pip uninstall" in text


def test_autoload_can_be_switched_off(site: Site) -> None:
    site.add("my-npu", BACKENDS + "npu = my_npu:backend\n", my_npu="backend = 1")
    assert "Unset FLAMBEAU_PLUGIN_AUTOLOAD" in site.says(LOAD, FLAMBEAU_PLUGIN_AUTOLOAD="0")


def test_the_environment_declares_plugins(site: Site) -> None:
    (site.folder / "loose.py").write_text("backend = 'loose'")
    switches = {"FLAMBEAU_PLUGIN_AUTOLOAD": "0", "FLAMBEAU_PLUGINS": "backends/npu=loose:backend"}
    assert site.says(LOAD, **switches).splitlines() == ["loose"] * 2


def test_a_misspelt_environment_is_an_error(site: Site) -> None:
    assert "needed: group/name=module:attribute" in site.says(LOAD, FLAMBEAU_PLUGINS="npu:loose")


NAMES = """
    from flambeau import hooks
    print(*hooks.datasets())
"""
BIRDS = """
    from flambeau.hooks import hookimpl
    def birds(): return "chirp"
    @hookimpl
    def register_datasets(registry): registry.add("birds", birds)
"""


def test_a_hook_asks_the_plugins_that_name_it(site: Site) -> None:
    site.add("my-birds", HOOKS + "birds.register_datasets = my_birds\n", my_birds=BIRDS)
    assert "birds" in site.says(NAMES).split()
    assert site.says("from flambeau import hooks; print(hooks.datasets()['birds']())") == "chirp"


def test_an_unknown_data_set_names_the_known_ones(site: Site) -> None:
    site.add("my-birds", HOOKS + "birds.register_datasets = my_birds\n", my_birds=BIRDS)
    done = site.run("from flambeau import hooks; hooks.datasets()['fish']")
    assert "LookupError: [hooks] no data set of that name: got 'fish', needed: one of birds" in done.stderr


@pytest.mark.parametrize(
    ("entry", "text", "reason"),
    [
        ("register_datsets", BIRDS, "there is no hook 'register_datsets'; did you mean 'register_datasets'?"),
        (
            "register_datasets",
            BIRDS.replace("def register_datasets", "def register_datsets"),
            "there is no hook 'register_datsets'; did you mean 'register_datasets'?",
        ),
        (
            "register_datasets",
            BIRDS.replace("(registry)", "(registry, x)"),
            "other arguments: got register_datasets(registry, x), needed: register_datasets(registry)",
        ),
        ("register_datasets", "def register_datasets(registry): 1", "has no @hookimpl register_datasets"),
        ("register_datasets", "import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
        ("register_datasets", BIRDS.replace('"birds", birds', "1 / 0"), "ZeroDivisionError"),
    ],
)
def test_a_faulty_hook_is_left_out_and_told(site: Site, entry: str, text: str, reason: str) -> None:
    site.add("a-faulty", HOOKS + f"x.{entry} = a_faulty\n", a_faulty=text)
    site.add("b-birds", HOOKS + "birds.register_datasets = b_birds\n", b_birds=BIRDS)
    done = site.run(NAMES)
    assert done.returncode == 0, done.stderr
    assert "birds" in done.stdout.split()
    assert "PluginWarning: [hooks] plugin left out: a-faulty 1.2 (a_faulty)" in done.stderr
    assert reason in done.stderr
    assert site.run(NAMES, "-Werror").returncode == 1


def test_a_name_registered_twice_names_both(site: Site) -> None:
    site.add("a-birds", HOOKS + "a.register_datasets = a_birds\n", a_birds=BIRDS)
    site.add("b-birds", HOOKS + "b.register_datasets = b_birds\n", b_birds=BIRDS)
    said = "'birds' is registered twice: got a-birds 1.2 (a_birds) and b-birds 1.2 (b_birds), needed: one."
    assert said in site.run(NAMES).stderr
    asked = site.run("from flambeau import hooks; hooks.datasets()['birds']")
    assert "PluginError: [hooks] data set " + said in asked.stderr.splitlines()[-1]


FORMAT = """
    from flambeau.hooks import hookimpl
    @hookimpl
    def register_formats(registry): registry.add("words", "a format")
"""


def test_file_formats_are_registered_by_name(site: Site) -> None:
    site.add("my-words", HOOKS + "my.register_formats = my_words\n", my_words=FORMAT)
    assert site.says("from flambeau import hooks; print(hooks.formats()['words'])") == "a format"
    done = site.run("from flambeau import hooks; hooks.formats()['lines']")
    assert "LookupError: [hooks] no file format of that name: got 'lines', needed: one of " in done.stderr


def test_hook_calls_can_be_traced(site: Site) -> None:
    site.add("my-birds", HOOKS + "birds.register_datasets = my_birds\n", my_birds=BIRDS)
    done = site.run(NAMES, FLAMBEAU_TRACE_HOOKS="1")
    assert "flambeau hook register_datasets: my_birds" in done.stderr


def test_a_third_party_namespace(site: Site) -> None:
    site.add("my-audio", NAMESPACES + "audio = my_audio\n", my_audio="sound = 'ping'")
    code = """
        import flambeau
        assert flambeau.audio.sound == "ping"
        import my_audio, flambeau.audio
        from flambeau import audio
        from flambeau.audio import sound
        assert flambeau.audio is my_audio is audio
        assert my_audio.__spec__.name == "my_audio"
    """
    site.says(code)
    assert site.run("import flambeau.video").stderr.endswith("No module named 'flambeau.video'\n")
    assert site.says("import flambeau; print(hasattr(flambeau, 'video'))") == "False"


def test_a_namespace_whose_module_is_gone(site: Site) -> None:
    site.add("my-audio", NAMESPACES + "audio = my_audio\n")
    for code in ("import flambeau.audio", "import flambeau; flambeau.audio", "from flambeau import audio"):
        assert (
            "my-audio 1.2 (my_audio) has no such module: pip install --force-reinstall"
            in site.run(code).stderr
        )


def test_a_namespace_that_fails_says_whose_it_is(site: Site) -> None:
    site.add("my-audio", NAMESPACES + "audio = my_audio\n", my_audio="import nothing_of_that_name")
    said = (
        "ImportError: flambeau.audio: my-audio 1.2 (my_audio) raised ModuleNotFoundError: No module named "
        "'nothing_of_that_name'. To mend it: pip install --force-reinstall my-audio==1.2"
    )
    for code in ("import flambeau.audio", "import flambeau; flambeau.audio", "import flambeau.audio.x"):
        assert said in site.run(code).stderr


def test_a_namespace_is_run_as_a_program(site: Site) -> None:
    site.add("my-audio", NAMESPACES + "audio = my_audio\n", my_audio="print(__name__)")
    code = "import runpy; runpy.run_module('flambeau.audio', run_name='__main__')"
    assert site.says(code, "-Wignore").splitlines()[-1] == "__main__"


HIDE = """
    import sys
    class Hide:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {"flambeau_" + n for n in "data func io nn optim testing vision".split()}:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    sys.meta_path.insert(0, Hide())
"""


@pytest.mark.parametrize("name", ["data", "func", "io", "nn", "optim", "testing", "vision"])
@pytest.mark.parametrize(
    "code",
    ["import flambeau.{}", "import flambeau; flambeau.{}", "from flambeau import {}", "import flambeau.{}.x"],
)
def test_a_namespace_that_is_not_installed(site: Site, name: str, code: str) -> None:
    done = site.run(dedent(HIDE) + code.format(name))
    assert f"flambeau.{name} is not installed: pip install 'flambeau[{name}]'" in done.stderr
    assert "During handling" not in done.stderr


@pytest.mark.parametrize("code", ["flambeau.save", "flambeau.load"])
def test_functions_of_a_plugin_that_is_not_installed(site: Site, code: str) -> None:
    done = site.run(dedent(HIDE) + "import flambeau; assert not hasattr(flambeau, 'save'); " + code)
    assert "flambeau.io is not installed: pip install 'flambeau[io]'" in done.stderr


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("flambeau.vmap", "func"),
        ("flambeau.autograd.functional", "func"),
        ("import flambeau.autograd.functional", "func"),
        (
            "x = flambeau.ones(2).requires_grad_(); flambeau.autograd.grad(x, x, x, is_grads_batched=True)",
            "func",
        ),
        ("flambeau.autograd.gradcheck", "testing"),
        ("flambeau.op(lambda x: x).check(flambeau.ones(2))", "testing"),
        ("from flambeau.__main__ import main; assert main(['certify', '--device', 'cpu']) == 2", "testing"),
    ],
)
def test_what_the_core_has_from_plugins(site: Site, code: str, extra: str) -> None:
    done = site.run(dedent(HIDE) + "import flambeau; " + code)
    assert f" is not installed: pip install 'flambeau[{extra}]'" in done.stderr
    assert "During handling" not in done.stderr


TWICE = """
    from flambeau.hooks import hookimpl
    @hookimpl
    def register_ops():
        from flambeau.plugin import composite
        @composite()
        def twice(self): return self + self
"""


def test_records_of_a_plugin_are_loaded_when_a_name_is_not_found(site: Site) -> None:
    site.add("my-ops", HOOKS + "my.register_ops = my_ops\n", my_ops=TWICE)
    code = """
        import flambeau as fb
        print(hasattr(fb, "_twice"), "my_ops" in __import__("sys").modules)
        print(fb.twice(fb.tensor([1, 2])).tolist(), fb.tensor([3]).twice().tolist(), hasattr(fb, "thrice"))
    """
    assert site.says(code).splitlines() == ["False False", "[2, 4] [6] False"]


@pytest.mark.parametrize("name", ["conv2d", "Tensor.prelu"])
def test_an_operator_whose_plugin_is_not_installed(site: Site, name: str) -> None:
    done = site.run(f"import flambeau; flambeau.{name}", FLAMBEAU_PLUGIN_AUTOLOAD="0")
    asked = f"flambeau.{name}".replace("flambeau.Tensor", "Tensor")
    assert (
        f"AttributeError: {asked} is part of flambeau-nn, which is not installed: pip install" in done.stderr
    )
    faulty = "hooks/nn.register_ops=nothing_of_that_name"
    done = site.run(f"import flambeau; flambeau.{name}", FLAMBEAU_PLUGINS=faulty)
    assert "No module named 'nothing_of_that_name'" in done.stderr
    assert f"AttributeError: {asked} is part of flambeau-nn, whose operators failed to load" in done.stderr


def test_the_doctor_tells_of_clashes(site: Site) -> None:
    for dist, module in (("a-clash", "a_clash"), ("b-clash", "b_clash")):
        points = BACKENDS + f"npu = {module}:backend\n" + NAMESPACES + f"audio = {module}\n"
        hooks = HOOKS + f"{module}.register_ops = {module}\n"
        site.add(dist, points + hooks, **{module: BIRDS})
    done = site.run("from flambeau.doctor import main; raise SystemExit(main([]))")
    assert done.returncode == 1, done.stderr
    for what in ("backends/npu", "namespaces/audio"):
        for line in (f"{what}: a-clash 1.2 (a_clash", f"{what}: b-clash 1.2 (b_clash"):
            found = [said for said in done.stdout.splitlines() if line in said]
            assert len(found) == 1
            assert f"failed: [plugins] {what} is provided more than once" in found[0]
            assert "pip uninstall a-clash, or pip uninstall b-clash" in found[0]
    assert (
        "hooks/a_clash.register_ops: a-clash 1.2 (a_clash): failed: PluginError: a_clash has no @hookimpl"
        in (done.stdout)
    )
    assert done.stderr == ""


def test_the_doctor_tells_what_is_wrong(site: Site) -> None:
    site.add("my-npu", BACKENDS + "npu = my_npu:backend\n", my_npu="import nothing_of_that_name")
    done = site.run("from flambeau.doctor import main; raise SystemExit(main([]))")
    assert done.returncode == 1, done.stderr
    assert "backends/npu: my-npu 1.2 (my_npu:backend): failed: ModuleNotFoundError" in done.stdout
    assert "to mend it: pip install --force-reinstall my-npu==1.2" in done.stdout
    assert "cpu: " in done.stdout
