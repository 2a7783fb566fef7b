package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

const usageHead = `gotrace - traces Linux with scripts compiled to BPF

USAGE:
    gotrace [options] FILE [parameters] [-- --name=value ...]
    gotrace [options] -e 'program' [parameters] [-- --name=value ...]
    gotrace [options] -              the program comes from standard input
%s
OPTIONS:
`

const usageTail = `
ENVIRONMENT:
    BPFTRACE_NAME          the setting NAME, as in a script's config block
    BPFTRACE_BTF           a file in BTF's raw format to use instead of the
                           kernel's own
    BPFTRACE_COLOR         auto, always or never

EXAMPLES:
    gotrace -e 'tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }'
        count system calls by program
    gotrace -e 'tracepoint:syscalls:sys_enter_openat { printf("%s %s\n", comm, str(args.filename)); }'
        show which files are opened
    gotrace -e 'profile:hz:99 { @[kstack] = count(); }'
        sample kernel stacks
    gotrace -c 'ls -l' -e 'uprobe:libc:malloc { @bytes = hist(arg0); }'
        sizes of the memory blocks that ls allocates
    gotrace -f json -o out.json -e 'tracepoint:block:block_rq_issue { @ = hist(args.bytes); }'
        sizes of block I/O, as JSON into a file
    gotrace -l 'tracepoint:syscalls:*'
        list tracepoints
    gotrace -lv kprobe:vfs_read
        show the arguments of a function
`

// Columns of the help text.
const (
	usageIndent = 27 // column where explanations start
	usageWidth  = 79
)

// usage returns the help text, with the options in the order and groups in which
// newFlags registers them.
func usage() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, usageHead, usageCommands())
	fs := newFlags(&options{})
	group := ""
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		if g := fs.group[f.Name]; g != group {
			if group != "" {
				b.WriteByte('\n')
			}
			group = g
		}
		writeFlag(&b, f)
	})
	b.WriteString(usageTail)
	return b.String()
}

// writeFlag writes a flag's names, the name of its value and, starting at column
// usageIndent, its explanation.
func writeFlag(b *bytes.Buffer, f *pflag.Flag) {
	value, text := "", f.Usage
	if parts := strings.SplitN(f.Usage, "`", 3); len(parts) == 3 {
		value, text = parts[1], parts[2]
	}
	names := "    "
	switch {
	case f.Shorthand != "" && f.Annotations[shortOnly] != nil:
		names += "-" + f.Shorthand
	case f.Shorthand != "":
		names += "-" + f.Shorthand + ", --" + f.Name
	default:
		names += "--" + f.Name
	}
	if value != "" {
		names += " " + value
	}
	fmt.Fprintf(b, "%-*s", usageIndent, names)
	column := max(len(names), usageIndent)
	if len(names) >= usageIndent {
		b.WriteByte('\n')
		b.WriteString(strings.Repeat(" ", usageIndent))
		column = usageIndent
	}
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case column+1+len(word) > usageWidth:
			b.WriteByte('\n')
			b.WriteString(strings.Repeat(" ", usageIndent))
			column = usageIndent
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteByte('\n')
}

// badFlag is an error in the flags themselves. The usage text is printed with it.
type badFlag struct{ error }
