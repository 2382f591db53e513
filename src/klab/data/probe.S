/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The guest behind `klab doctor`: does an accelerator really run guests here?
 *
 * A device node that opens proves nothing, and firmware alone proves little: some
 * hosts carry a guest through its BIOS and lose it at the first instruction that
 * they must emulate and cannot. So this does, in a few milliseconds, what every
 * kernel does early: paging and long mode, a large mapping, SSE, BMI2 on registers
 * and on memory when the CPU claims it, and sleep until a timer interrupt. Each step
 * passed is one letter on the first serial port; the end is the marker and an exit
 * through QEMU's isa-debug-exit.
 *
 * A Multiboot 1 image with explicit addresses, so that no ELF is needed:
 *   as --32 -o probe.o probe.S && ld -m elf_i386 -Ttext 0x100000 --oformat binary \
 *      -o probe.bin probe.o
 * (tests/unit/test_accel.py does so and compares). Specification: Multiboot 0.6.96;
 * Intel SDM vol. 3, 10.8.5 (entering IA-32e mode), 7.14 (64-bit interrupts).
 */
        .set    BASE,   0x100000        /* where the image is loaded */
        .set    COM1,   0x3f8
        .set    EXIT,   0xf4            /* isa-debug-exit: status = value * 2 + 1 */
        .set    PASSED, 0x10
        .set    PML4,   0x200000        /* page tables and the IDT, above the image */
        .set    PDPT,   0x201000
        .set    PD,     0x202000        /* four of them: 4 GiB in 2 MiB pages */
        .set    IDT,    0x206000
        .set    STACK,  0x208000

        .text
        .code32
        .globl  _start
_start:
header: .long   0x1badb002              /* magic, flags (addresses follow), checksum */
        .long   0x00010000
        .long   -(0x1badb002 + 0x00010000)
        .long   BASE                    /* header, load start, load end, bss end, entry */
        .long   BASE
        .long   0                       /* the whole file */
        .long   0
        .long   BASE + (entry - header)

entry:  cli
        cld
        movl    $STACK, %esp
        movb    $'P', %al               /* 32-bit protected mode */
        movl    $COM1, %edx
        outb    %al, %dx

        movl    $PML4, %edi             /* clear tables and IDT */
        xorl    %eax, %eax
        movl    $((STACK - PML4) / 4), %ecx
        rep stosl

        movl    $(PDPT + 3), PML4
        movl    $(PD + 0x0003), PDPT
        movl    $(PD + 0x1003), PDPT + 8
        movl    $(PD + 0x2003), PDPT + 16
        movl    $(PD + 0x3003), PDPT + 24
        movl    $PD, %edi
        movl    $0x83, %eax             /* present, writable, 2 MiB */
1:      movl    %eax, (%edi)
        addl    $8, %edi
        addl    $0x200000, %eax
        jnc     1b

        movl    %cr4, %eax
        orl     $0x620, %eax            /* PAE, OSFXSR, OSXMMEXCPT */
        movl    %eax, %cr4
        movl    $PML4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx       /* EFER.LME */
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    %cr0, %eax
        andl    $~0xc, %eax             /* no x87 emulation, no lazy task switch */
        orl     $0x80000002, %eax       /* PG, MP */
        movl    %eax, %cr0
        lgdt    gdtr - header + BASE
        ljmp    $8, $(BASE + (long_mode - header))

        .balign 8
gdt:    .quad   0
        .quad   0x00af9a000000ffff      /* 64-bit code */
        .quad   0x00cf92000000ffff      /* data */
gdtr:   .word   gdtr - gdt - 1
        .long   BASE + (gdt - header)
idtr:   .word   0x30 * 16 - 1
        .quad   IDT

        .code64
long_mode:
        movl    $16, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $COM1, %edx
        movb    $'L', %al               /* long mode, paging on */
        outb    %al, %dx

        movq    $0x0123456789abcdef, %rbx
        movq    %rbx, %xmm0             /* SSE, through memory */
        punpcklqdq %xmm0, %xmm0
        movaps  %xmm0, STACK - 16
        cmpq    %rbx, STACK - 8
        jne     fail
        movb    $'S', %al
        outb    %al, %dx

        xorl    %eax, %eax              /* BMI2, only where CPUID claims it */
        cpuid
        cmpl    $7, %eax
        jb      2f
        movl    $7, %eax
        xorl    %ecx, %ecx
        cpuid
        btl     $8, %ebx
        jnc     2f
        movl    $8, %ecx
        movq    $0x00ff, %rax
        shlxq   %rcx, %rax, %rsi
        cmpq    $0xff00, %rsi
        jne     fail
        movq    $0x3c00, STACK - 32
        pextq   STACK - 32, %rsi, %rdi  /* bits 10-13 of 0xff00 */
        cmpq    $0xf, %rdi
        jne     fail
        rorxq   $8, STACK - 32, %rdi
        cmpq    $0x3c, %rdi
        jne     fail
        movl    $COM1, %edx
        movb    $'B', %al
        outb    %al, %dx
2:
        movl    $(BASE + (tick - header)), %eax
        movw    %ax, IDT + 0x20 * 16    /* gate of vector 0x20 */
        movw    $8, IDT + 0x20 * 16 + 2
        movw    $0x8e00, IDT + 0x20 * 16 + 4
        shrl    $16, %eax
        movw    %ax, IDT + 0x20 * 16 + 6
        lidt    idtr - header + BASE
        movb    $0x11, %al              /* both PICs: vectors 0x20.., only IRQ 0 open */
        outb    %al, $0x20
        outb    %al, $0xa0
        movb    $0x20, %al
        outb    %al, $0x21
        movb    $0x28, %al
        outb    %al, $0xa1
        movb    $0x04, %al
        outb    %al, $0x21
        movb    $0x02, %al
        outb    %al, $0xa1
        movb    $0x01, %al
        outb    %al, $0x21
        outb    %al, $0xa1
        movb    $0xfe, %al
        outb    %al, $0x21
        movb    $0xff, %al
        outb    %al, $0xa1
        movb    $0x34, %al              /* PIT channel 0 at about 1 kHz */
        outb    %al, $0x43
        movb    $0xa9, %al
        outb    %al, $0x40
        movb    $0x04, %al
        outb    %al, $0x40
        xorl    %ebp, %ebp
3:      sti
        hlt
        cli
        cmpl    $3, %ebp                /* woken by three ticks */
        jb      3b
        movl    $COM1, %edx
        movb    $'T', %al
        outb    %al, %dx

        movl    $(BASE + (marker - header)), %esi
        movl    $(end - marker), %ecx
        rep outsb
        movb    $PASSED, %al
        jmp     4f
fail:   xorl    %eax, %eax
4:      outb    %al, $EXIT              /* QEMU 9 and later run what follows, for a moment */
5:      hlt
        jmp     5b

tick:   incl    %ebp
        pushq   %rax
        movb    $0x20, %al
        outb    %al, $0x20
        popq    %rax
        iretq

marker: .ascii  "\nklab-probe passed\n"
end:
