package main

const usageText = `gotrace - traces Linux with scripts compiled to BPF

USAGE:
    gotrace [options] FILE [parameters] [-- --name=value ...]
    gotrace [options] -e 'program' [parameters] [-- --name=value ...]
    gotrace [options] -              the program comes from standard input

OPTIONS:
    -e 'program'           run this program
    -l, --list [PATTERN|FILE]
                           list the probes that match, or those of a program
    -v, --verbose          say more; with -l show the arguments of probes, with
                           -lv 'struct NAME' the definition of a type
    -h, --help             show this help, and the options of a script
    -V, --version          show the version
    --info                 show what this kernel can do

    -p, --pid PID          trace this process; its end ends the session
    -c, --cmd COMMAND      start COMMAND once all is attached; its end ends the
                           session
    --usdt-file-activation enable USDT semaphores by file
    --debuginfo DIR[:DIR]  look for separate debug files there first

    -o, --output FILE      write results to FILE
    -f FORMAT              text or json
    -B MODE                write results out by line, when the buffer is full, or
                           at once (line, full, none)
    -q, --quiet            no messages but errors
    -k, --warnings         also warn about memory that could not be read: null and
                           wild pointers give 0, at this line, so many times
    --no-warnings          no warnings at all

    -I DIR                 look for #include files in DIR
    --include FILE         #include FILE before the program
    --unsafe               allow what changes the system
    --no-feature LIST      do without kprobe_multi, kprobe_session, uprobe_multi

    --dry-run              attach everything, then end
    -d, --debug STAGE      print what a stage of the compiler makes: ast, check,
                           ir, opt, asm, all; verifier: the kernel's log (--dump
                           is the same)
    --emit-elf FILE        write the compiled programs to FILE, run nothing
    --verify-llvm-ir       check the compiler's intermediate code (no LLVM: ours)
    --probe-filter REGEX   only probes whose names match
    --test, --bench        run test: probes, measure bench: probes
    --mode MODE            codegen (compile only), compiler-bench (measure the
                           compiler), test, bench or format
    --fmt [--check]        print the program formatted, or only say whether it is

EXAMPLES:
    gotrace -e 'tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }'
        count system calls by program
    gotrace -e 'tracepoint:syscalls:sys_enter_openat { printf("%s %s\n", comm, str(args.filename)); }'
        show which files are opened
    gotrace -e 'profile:hz:99 { @[kstack] = count(); }'
        sample what the kernel does
    gotrace -l 'tracepoint:syscalls:*'
        list tracepoints
`
