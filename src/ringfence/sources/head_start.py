"""Starts the process of a Node program before the rest of ringfence is loaded.

Node takes a second to load the SDK and the compiler, and ringfence half a second to load the Pulumi SDK, gRPC and the
rules. So the process comes first: it loads what it needs, and waits at its standard input for the monitor's address,
the config and all else that a run decides. `ProcessGroup.start` hands it to the run that would start the same command.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from ringfence.sources.pulumi_yaml import ProjectError, ProjectFile, find_project_file, load_project

__all__ = ["give_head_start", "place_of_program"]


def give_head_start(folder: Path) -> None:
    """Start the process of the project in a folder, where that is one for Node.

    What is wrong with the project is left to the run, which says it.
    """
    with contextlib.suppress(ProjectError, OSError):
        if find_project_file(folder) is not None and (project := load_project(folder)).runtime == "nodejs":
            _start(project)


def _start(project: ProjectFile) -> None:
    # Imported here: most programs are in Python.
    from ringfence.engine.languages.interface import LaunchError, RemoteProgram
    from ringfence.engine.languages.nodejs import NodeLanguage
    from ringfence.engine.process_group import start_ahead

    place, main = place_of_program(project)
    with contextlib.suppress(LaunchError):
        program = RemoteProgram(
            runtime=project.runtime,
            folder=place,
            main=main,
            root=project.folder,
            options=project.options,
            project=project.name,
            stack="",
        )
        language = NodeLanguage()
        language.prepare(program, project.folder)
        launch = language.start(program)
        start_ahead(launch.command, place, launch.environment)


def place_of_program(project: ProjectFile) -> tuple[Path, Path | None]:
    """Return the folder that a program runs in, and its file where `main` names one. Raises `ProjectError`."""
    place = project.folder / project.main if project.main else project.folder
    if place.is_dir():
        return place, None
    if not place.is_file():
        raise ProjectError(f"{project.path}: main: expected a program at {place}, which does not exist")
    return place.parent, place
