"""Making templates, apart from searching with them: projections, aligned averages, symmetry, boxes, masks."""
