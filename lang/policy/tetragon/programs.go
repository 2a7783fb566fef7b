package tetragon

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
)

// program is a condition on the program that a process runs. If follow is set, it also
// holds for the descendants of a process for which it holds.
type program struct {
	op     string // Equal, Prefix or Postfix
	values []string
	follow bool
}

// maxPrograms is the maximum number of conditions on programs: the bits of a word but one.
const maxPrograms = 63

// deleted is the end of the path of a program whose file has been removed.
const deleted = " (deleted)"

// bitOf returns the bit that a condition has in the words of tg_programs. It returns false if
// there are too many.
func (s *script) bitOf(c program) (uint64, bool) {
	i := slices.IndexFunc(s.programs, func(p program) bool {
		return p.op == c.op && p.follow == c.follow && slices.Equal(p.values, c.values)
	})
	if i < 0 {
		i = len(s.programs)
		s.programs = append(s.programs, c)
	}
	return 1 << (i & 63), i < maxPrograms
}

// cond returns the condition on the path in $exe. A process may still run a program whose
// file has been removed.
func (c *program) cond() string {
	list := c.values
	if c.op != "Prefix" {
		for _, v := range c.values {
			list = append(list[:len(list):len(list)], v+deleted)
		}
	}
	return textCondition("$exe", c.op, list)
}

// meets reports whether the condition holds for the program with a path.
func (c *program) meets(path string) bool {
	is := map[string]func(string, string) bool{
		"Equal": func(a, b string) bool { return a == b }, "Prefix": strings.HasPrefix, "Postfix": strings.HasSuffix,
	}[c.op]
	return slices.ContainsFunc(c.values, func(v string) bool { return is(path, v) })
}

// programMacros returns the macros for the conditions on programs. When a process
// executes a program, its path is compared with the conditions. @tg_programs has a word
// for each process, with bit 63 and the bits of the conditions that hold. The words of
// processes that are older than the script have only the bits that they inherit, without
// bit 63, until the processes are first seen.
func (s *script) programMacros() string {
	if len(s.programs) == 0 {
		return ""
	}
	var b bytes.Buffer
	b.WriteString(`// tg_meets(t) has a bit for each condition that the program of a task meets.
macro tg_meets(t)
{
  let $exe = tg_exe(t);
  let $met = (uint64)0x8000000000000000;
`)
	for i, c := range s.programs {
		fmt.Fprintf(&b, "  if (%s) {\n    $met |= %d;\n  }\n", c.cond(), uint64(1)<<i)
	}
	b.WriteString(`  $met
}

// tg_programs(@known, t) is tg_meets for the program that a process was last seen to start,
// with the bits that it has from processes above it.
macro tg_programs(@known, t)
{
  let $t = t;
  let $id = (int32)$t.tgid;
  let $met = has_key(@known, $id) ? @known[$id] : (uint64)0;
  if (($met >> 63) == 0) {
    $met |= tg_meets($t);
`)
	if follow := s.followed(); follow != 0 {
		fmt.Fprintf(&b, `    let $p = $t.real_parent.group_leader;
    let $i = 0;
    while ($i < 32 && $p.tgid != 0) {
      let $above = has_key(@known, $p.tgid) ? @known[$p.tgid] : (uint64)0;
      $met |= $above & %d;
      $i += ($above >> 63) != 0 ? 32 : 1;
      $p = $p.real_parent.group_leader;
    }
`, follow)
	}
	b.WriteString(`    if ($t.mm != 0) {
      @known[$id] = $met;
    }
  }
  $met
}
`)
	return b.String()
}

// followed returns the bits of the conditions that also hold for descendants.
func (s *script) followed() (bits uint64) {
	for i, c := range s.programs {
		if c.follow {
			bits |= 1 << i
		}
	}
	return bits
}

// programProbes adds the probes that keep the words of tg_programs up to date. They come
// first, so that they are attached before a word is kept.
func (s *script) programProbes() {
	if len(s.programs) == 0 {
		return
	}
	hooks := s.parts
	s.parts = nil
	defer func() { s.parts = append(s.parts, hooks...) }()
	s.sizes = append(s.sizes, "let @tg_programs = lruhash(65536);\n")
	if follow := s.followed(); follow != 0 {
		s.older()
		s.add(source.Span{}, `rawtracepoint:sched_process_exec /has_key(@tg_programs, args.p.tgid) && (@tg_programs[args.p.tgid] >> 63) != 0/
{
  @tg_programs[args.p.tgid] = tg_meets(args.p) | (@tg_programs[args.p.tgid] & %d);
}

rawtracepoint:sched_process_fork /args.child.pid == args.child.tgid/
{
  @tg_programs[args.child.tgid] = tg_programs(@tg_programs, args.parent);
}

`, follow)
	} else {
		s.add(source.Span{}, `rawtracepoint:sched_process_exec
{
  @tg_programs[args.p.tgid] = tg_meets(args.p);
}

rawtracepoint:sched_process_fork /args.child.pid == args.child.tgid/
{
  if (has_key(@tg_programs, args.parent.tgid)) {
    @tg_programs[args.child.tgid] = @tg_programs[args.parent.tgid];
  } else {
    delete(@tg_programs, args.child.tgid);
  }
}

`)
	}
	s.add(source.Span{}, `rawtracepoint:sched_process_exit /args.p.signal.live.counter == 0/
{
  delete(@tg_programs, args.p.tgid);
}

`)
}

// older adds the bits that descendants inherit from processes that are older than the
// script.
func (s *script) older() {
	if s.machine.Programs == nil {
		return
	}
	words := map[int]uint64{}
	for pid, path := range s.machine.Programs() {
		for i, c := range s.programs {
			if c.follow && c.meets(path) {
				words[pid] |= 1 << i
			}
		}
	}
	if len(words) == 0 {
		return
	}
	s.add(source.Span{}, "begin\n{\n")
	for _, pid := range slices.Sorted(maps.Keys(words)) {
		s.add(source.Span{}, "  @tg_programs[(int32)%d] = (uint64)%d;\n", pid, words[pid])
	}
	s.add(source.Span{}, "}\n\n")
}
