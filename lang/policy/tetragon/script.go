package tetragon

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/procs"
	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
)

// script is the translation of policies.
type script struct {
	t        *Translation
	terms    *policy.Terms
	machine  *Machine
	parts    []part
	programs []program
	watched  []watch // maps with a number of each process
	errors   []int64 // errors of calls that fail later
	numbers  map[string]uint64
	hooks    map[string]*action // security hooks in which calls fail, each for an action
	ends     map[string]bool    // system calls at whose end the marks are removed
	sizes    []string           // declarations of maps
	filters  bool               // packets are filtered, so that the kernel calls packetFilter
	preamble int                // length of the text before the policies' probes
}

// part is a part of the script and the place in a policy that it comes from.
type part struct {
	at     source.Span
	probes string // attach points of the statements in text; "": text has whole probes
	denies []int  // errors that the statements may set $deny to
	text   string
}

//go:noinline
func (s *script) add(at source.Span, format string, args ...any) {
	s.parts = append(s.parts, part{at: at, text: fmt.Sprintf(format, args...)})
}

// file returns the script.
func (s *script) file() *source.File {
	s.failures()
	s.watches()
	s.programProbes()
	b := source.Builder{Words: policy.Words}
	var all bytes.Buffer
	for _, p := range s.parts {
		all.WriteString(p.text)
	}
	more := ""
	if s.terms.SkipUnsupported {
		more = "; missing_probes = \"warn\""
	}
	b.Printf("config = { max_strlen = %d%s }\n\n", procs.MaxStrlen, more)
	if strings.Contains(all.String(), "@tg_sock") {
		b.Write("let @tg_sock = lruhash(32768);\n\n")
	}
	for _, d := range s.sizes {
		b.Write(d)
	}
	extra := s.programMacros()
	b.Write(macrosOf(all.String() + extra))
	b.Write(extra + "\n")
	procs.Write(&b, procs.Details{Namespaces: true})
	s.preamble = b.Len()
	for i, p := range s.parts {
		if p.probes == "" {
			b.From(p.at)
			b.Write(p.text)
		} else if slices.IndexFunc(s.parts, func(q part) bool { return q.probes == p.probes }) == i {
			var parts []part
			for _, q := range s.parts {
				if q.probes == p.probes {
					parts = append(parts, q)
				}
			}
			for n := shared(parts); len(parts) > 0; parts = parts[n:] {
				n = min(n, len(parts))
				writeProgram(&b, parts[:n])
			}
		}
	}
	return b.File("policy")
}

// maxAttached is the number of programs at an attach point up to which each hook has one. The
// kernel runs at most 64 at a tracepoint and 38 at a function. Fewer would take longer to
// load: the time that the kernel takes to check programs grows faster than their size.
const maxAttached = 32

// maxShared is the maximum number of hooks that share a program. Each may need a map, and a
// program may use 64.
const maxShared = 16

// shared returns how many of the hooks with the same attach points share a program. A few
// hooks share one only if one of them makes the call fail, because the kernel runs no
// program after that one.
func shared(parts []part) int {
	if len(parts) <= 4 && slices.ContainsFunc(parts, func(p part) bool { return len(p.denies) > 0 }) {
		return len(parts)
	}
	return min((len(parts)+maxAttached-1)/maxAttached, maxShared)
}

// writeProgram writes the program that hooks with the same attach points share.
func writeProgram(b *source.Builder, parts []part) {
	var denies []int
	for _, p := range parts {
		denies = append(denies, p.denies...)
	}
	b.From(parts[0].at)
	b.Printf("%s\n{\n", parts[0].probes)
	if len(denies) > 0 {
		b.Write("  let $deny = 0;\n")
	}
	for _, p := range parts {
		b.From(p.at)
		if len(parts) > 1 {
			b.Write("  {\n" + indented(p.text) + "  }\n")
		} else {
			b.Write(p.text)
		}
	}
	slices.Sort(denies)
	for _, e := range slices.Compact(denies) {
		b.Printf("  if ($deny == %d) {\n    deny(%d);\n  }\n", e, e)
	}
	b.Write("}\n\n")
}

// indented returns lines two columns further to the right.
func indented(text string) string {
	return "  " + strings.TrimSuffix(strings.ReplaceAll(text, "\n", "\n  "), "  ")
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
