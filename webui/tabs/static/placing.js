// Where a sampler goes that is added to a chain: one that is there, but off, is switched on; else it stands where such a
// stage belongs. `stages` are {name, off}.
"use strict";
Lab.placing = (name, stages, samplers) => {
  const off = stages.findIndex((stage) => stage.name === name && stage.off);
  if (off >= 0) return { place: off, there: true };
  return { place: 1 + stages.findLastIndex((stage) => samplers[stage.name].place <= samplers[name].place), there: false };
};
