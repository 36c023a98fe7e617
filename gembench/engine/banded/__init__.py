"""The search of low-pass filtered micrographs on the coarse grid that their band needs.

What is promised. Let s(v) be the exact score of the best template at pixel v, a(v) the score there from the
coarse grid, both for the micrograph at variance 1, and sigma its standard deviation under that template's
mask. Then

    |s - a|  <=  6 e_N q_N / sigma  +  p |a|  +  (1/2) 6 e_M q_M |a| / sigma^2                  (slack)

    e_N^2  what a numerator loses, as mean square: by leaving out what lies beyond the coarse band, by the
           compression of the templates (TOLERANCE), and between coarse pixels (`interpolation`): sums over
           rings of frequencies of the micrograph's power times what is lost of the template there
    e_M^2  the same of the mean of T^2 under the mask; by the derivative of 1 / sigma an error of sigma^2
           moves a score by half of it over sigma^2
    q      how much stronger, or weaker, errors are around v than in the whole micrograph (`_strength`)
    p      the part of a particle's own peak that is missing between coarse pixels (`missing_peak`)

Which of these are sure: p and the losses by ring are computed from templates and grid. That the errors of N
and M are like those of a normal variable with these variances is an assumption, and 6 standard errors are a
statement of probability: one value in 500 million lies outside. Measured, the largest error of any pixel is
0.4 to 1.0 of the slack (`tests/engine/banded`), and was 1.01 of it once, in a micrograph with a quiet place.
Where 6 e_M q_M is more than half of sigma^2 the score is in doubt, the slack is 2, and templates are summed
directly.

The peak rules look at no score that is not exact: pixels that may reach the threshold, and may be maxima
within their slack, are summed directly with all templates that may be the best there (`peaks`, `sums`): those
whose score, with half of its slack, reaches the best one's less half of its. Half, since the errors of two
templates seldom both reach their bounds with opposite signs (`ErrorModel.margins`). So picks are those
of the method exact as far as the inequality and this assumption hold; how often they differ is measured.
"""
