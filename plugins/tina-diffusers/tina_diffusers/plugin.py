"""Register what this package adds. Every `tina` command loads this module, so it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tina_framework import hookimpl

if TYPE_CHECKING:
    from tina_framework import Registrar

TINA_API = "2.0"


@hookimpl
def tina_register(registry: Registrar) -> None:
    # Strings, because they are imported only when the name is used: importing diffusers takes seconds.
    registry.schedulers.add("dpmsolver-multistep", "tina_diffusers.samplers:DPMSolverMultistep")
    registry.schedulers.add("dpmsolver-multistep-sde", "tina_diffusers.samplers:DPMSolverMultistepSDE")
    registry.schedulers.add("dpmsolver-singlestep", "tina_diffusers.samplers:DPMSolverSinglestep")
    registry.schedulers.add("unipc", "tina_diffusers.samplers:UniPC")
    registry.schedulers.add("deis", "tina_diffusers.samplers:DEIS")
    registry.schedulers.add("sa-solver", "tina_diffusers.samplers:SASolver")
    registry.schedulers.add("euler", "tina_diffusers.samplers:Euler")
    registry.schedulers.add("euler-ancestral", "tina_diffusers.samplers:EulerAncestral")
    registry.schedulers.add("flow-match-euler-vp", "tina_diffusers.samplers:FlowMatchEuler")
