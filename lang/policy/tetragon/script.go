package tetragon

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/procs"
	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
)

// script is the script that policies become.
type script struct {
	t        *Translation
	opts     *policy.Options
	machine  *Machine
	parts    []part
	programs []program
	watched  []watch // maps with a number of each process
	errors   []int64 // errors of calls that fail later
	numbers  map[string]uint64
	hooks    map[string]bool // security hooks in which calls fail
	ends     map[string]bool // system calls at whose end the marks are removed
	sizes    []string        // declarations of maps
	preamble int             // length of what comes before the policies' probes
}

// part is a part of the script and the place that it comes from.
type part struct {
	at   source.Span
	text string
}

//go:noinline
func (s *script) add(at source.Span, format string, args ...any) {
	s.parts = append(s.parts, part{at, fmt.Sprintf(format, args...)})
}

// file returns the script.
func (s *script) file() *source.File {
	s.failures()
	s.watches()
	s.programProbes()
	var b source.Builder
	var all bytes.Buffer
	for _, p := range s.parts {
		all.WriteString(p.text)
	}
	b.Printf("config = { max_strlen = %d }\n\n", procs.MaxStrlen)
	if strings.Contains(all.String(), "@tg_sock") {
		b.Write("let @tg_sock = lruhash(32768);\n\n")
	}
	for _, d := range s.sizes {
		b.Write(d)
	}
	extra := s.programMacros()
	b.Write(macrosOf(all.String() + extra))
	b.Write(extra + "\n")
	procs.Write(&b, procs.Options{Namespaces: true})
	s.preamble = b.Len()
	for _, p := range s.parts {
		b.From(p.at)
		b.Write(p.text)
	}
	return b.File("policy")
}

// watches adds the probes that keep numbers of processes up to date.
func (s *script) watches() {
	if len(s.watched) == 0 {
		return
	}
	set := func(task string) string {
		var b bytes.Buffer
		fmt.Fprintf(&b, "  let $t = %s;\n", task)
		for _, w := range s.watched {
			fmt.Fprintf(&b, "  %s[$t.tgid] = (uint64)%s;\n", w.name, w.expr)
		}
		return b.String()
	}
	s.add(source.Span{}, "rawtracepoint:sched_process_exec\n{\n%s}\n\n", set("args.p"))
	s.add(source.Span{}, "rawtracepoint:sched_process_fork /args.child.pid == args.child.tgid/\n{\n%s}\n\n", set("args.child"))
	s.add(source.Span{}, "rawtracepoint:sched_process_exit /args.p.signal.live.counter == 0/\n{\n")
	for _, w := range s.watched {
		s.add(source.Span{}, "  delete(%s, args.p.tgid);\n", w.name)
	}
	s.add(source.Span{}, "}\n\n")
}

// loaders adds the probes that report which files are mapped as code.
func (p *policyReader) loaders(spec *yaml.Node) {
	if !p.loader {
		return
	}
	n := len(p.t.Events)
	p.t.Events = append(p.t.Events, &Event{Kind: Loader, Policy: p.name, Args: []Arg{{Type: "file", Show: ShowFile, Fields: 2}},
		Outcomes: []Outcome{{Action: "KPROBE_ACTION_POST"}}})
	p.add(spec.Get("loader").At, `rawtracepoint:sched_process_exec
{
  report(%d, 1, nsecs, curtask.tgid, curtask.pid, curtask.group_leader.start_boottime, path(args.bprm.file), args.bprm.file.f_inode.i_mode);
}

tracepoint:syscalls:sys_exit_mmap /args.ret > 0 && (syscall_arg(2) & 4) != 0 && (int32)syscall_arg(4) >= 0 && (syscall_arg(3) & 0x20) == 0/
{
  let $f = tg_file(syscall_arg(4));
  report(%d, 1, nsecs, curtask.tgid, curtask.pid, curtask.group_leader.start_boottime, path($f), $f.f_inode.i_mode);
}

`, n, n)
}
