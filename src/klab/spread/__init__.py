# SPDX-License-Identifier: GPL-3.0-or-later
"""klab, kernels and images for a hypervisor that is another computer: by digest, over ssh."""
