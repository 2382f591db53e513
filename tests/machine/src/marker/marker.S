/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A whole guest in one page: firmware that says "klab" on the debug console and ends
 * QEMU with exit status 85. No BIOS runs, so it takes a moment even when one emulator
 * runs inside another. The CPU starts 16 bytes before the end (Intel SDM vol. 3, 10.1.4).
 */
        .code16
start:  movw    %cs, %ax
        movw    %ax, %ds
        movw    $text, %si
        movw    $0xe9, %dx              /* isa-debugcon */
        movw    $(done - text), %cx
        cld
        rep outsb
        movb    $42, %al                /* isa-debug-exit: status = 42 * 2 + 1 */
        outb    %al, $0xf4
1:      hlt
        jmp     1b
text:   .ascii  "klab"
done:
        .org    0xfff0
        jmp     start
        .org    0x10000
