# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive: kernels as a signed apt repository, images and manifests over HTTP."""
