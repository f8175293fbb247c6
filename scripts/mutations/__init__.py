"""What scripts/mutate breaks, a module a room: the check that must notice, the file, its line and what becomes of it, and where to
look for red.

`old` must stand exactly once in the file. `test` is a test program with a GoogleTest filter, or a script below tests/ with a
part of a unittest name. Sources, and headers only where few include them: others would build half the project."""
from . import (codes, commands, data, distributions, evaluation, multimodal, networks, objectives, quantizers, soft_quantizers,
               stages, training)

ROOMS = (objectives, networks, distributions, training, evaluation, data, commands, quantizers, multimodal, soft_quantizers,
         stages, codes)
MUTATIONS = [row for room in ROOMS for row in room.MUTATIONS]
