/* SPDX-License-Identifier: GPL-2.0-only */
/* What the functions of the mill are called. The grader has other names. */
#define MILL_FUNCTIONS(F) \
	F(0, mill_open) F(1, mill_weigh) F(2, mill_sift) F(3, mill_wash) F(4, mill_grind) F(5, mill_blend) \
	F(6, mill_press) F(7, mill_bake) F(8, mill_cool) F(9, mill_pack)
#define HOLDERS { "mill_keeper", "mill_porter" }
