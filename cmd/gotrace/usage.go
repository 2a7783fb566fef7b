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
    -k, --warnings         also warn about memory that could not be read and map
                           entries that are not there, which give 0: at this
                           line, so many times
    --no-warnings          no warnings at all

    -I DIR                 look for #include files in DIR
    --include FILE         #include FILE before the program
    --traceable-functions FILE
                           which kernel functions can be traced, instead of
                           tracefs's available_filter_functions
    --unsafe               allow what changes the system
    --no-feature LIST      do without kprobe_multi, kprobe_session, uprobe_multi

    --dry-run              attach everything, then end
    -d, --debug STAGE      print what a stage of the compiler makes: ast, check,
                           ir, opt, asm, or the verifier's log; all: everything
                           (--dump is the same)
    --emit-elf FILE        write the compiled programs to FILE, run nothing
    --verify-llvm-ir       check the compiler's intermediate code (no LLVM: ours)
    --probe-filter REGEX   only probes whose names match
    --traceable-functions FILE  list of the kernel's functions to take instead of
                           tracefs's available_filter_functions
    --test, --bench        run test: probes, measure bench: probes
    --mode MODE            codegen (compile only), compiler-bench (measure the
                           compiler), test, bench or format
    --fmt [--check]        print the program formatted, or only say whether it is

ENVIRONMENT:
    BPFTRACE_NAME          the setting NAME, as in a script's config block
    BPFTRACE_BTF           a file in BTF's raw format to be read for the kernel's
    BPFTRACE_COLOR         auto, always or never

EXAMPLES:
    gotrace -e 'tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }'
        count system calls by program
    gotrace -e 'tracepoint:syscalls:sys_enter_openat { printf("%s %s\n", comm, str(args.filename)); }'
        show which files are opened
    gotrace -e 'profile:hz:99 { @[kstack] = count(); }'
        sample what the kernel does
    gotrace -c 'ls -l' -e 'uprobe:libc:malloc { @bytes = hist(arg0); }'
        how much memory ls asks for at a time
    gotrace -f json -o out.json -e 'tracepoint:block:block_rq_issue { @ = hist(args.bytes); }'
        sizes of block I/O, as JSON into a file
    gotrace -l 'tracepoint:syscalls:*'
        list tracepoints
    gotrace -lv kprobe:vfs_read
        show the arguments of a function
`
