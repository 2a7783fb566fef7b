package live

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// liveCase is a script, a workload, and what the script must print about it.
//
// Cases stand in testdata/*.txt, many to a file. A line "-- name --" starts a
// case. Headers ("key: value") follow, then the program, and behind a line
// "====" what stdout must be. WORK in the program or a header is the path of the
// workload.
type liveCase struct {
	name, prog, want string
	at               string // file:line

	work   string   // work: arguments of the workload, run under -c
	flags  []string // flags: further flags, and arguments behind them
	needs  []string // needs: what the kernel must have, see missing
	since  string   // since: release; an older kernel must refuse the script and name it
	status int      // status: exit status
	stderr []string // stderr: what stderr must contain; can be repeated
	warns  bool     // warns: yes, warnings on stderr are expected
	match  bool     // compare: match, the expected lines are regular expressions for lines that must come in this order, others between them
	long   bool     // long: yes, not in emulated guests
	peer   string   // peer: why bpftrace does otherwise; such a case is not run against it
}

var headerLine = regexp.MustCompile(`^([a-z]+): (.*)$`)

// parseCases reads a file of cases.
func parseCases(path, text string) ([]*liveCase, error) {
	var cases []*liveCase
	var c *liveCase
	var part *string // where lines go; nil: headers
	names := map[string]bool{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSuffix(line, "\n")
		at := fmt.Sprintf("%s:%d", path, n)
		if name, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(name, " --") {
			name = strings.TrimSuffix(name, " --")
			if names[name] {
				return nil, fmt.Errorf("%s: a second case named %q", at, name)
			}
			names[name] = true
			c, part = &liveCase{name: name, at: at}, nil
			cases = append(cases, c)
			continue
		}
		if c == nil {
			continue // comments at the top of the file
		}
		m := headerLine.FindStringSubmatch(line)
		switch {
		case line == "====":
			part = &c.want
		case part == nil && m != nil && isHeader(m[1]):
			if err := c.header(m[1], m[2]); err != nil {
				return nil, fmt.Errorf("%s: %w", at, err)
			}
		default:
			if part == nil {
				part = &c.prog
			}
			*part += line + "\n"
		}
	}
	for _, c := range cases {
		c.prog, c.want = strings.Trim(c.prog, "\n"), strings.Trim(c.want, "\n")
		if c.prog == "" {
			return nil, fmt.Errorf("%s: no program", c.at)
		}
	}
	return cases, nil
}

// isHeader tells headers from labels of attach points ("uprobe: …" has no space).
func isHeader(key string) bool {
	return slices.Contains([]string{"work", "flags", "needs", "since", "status", "stderr", "warns", "compare", "long", "peer"}, key)
}

func (c *liveCase) header(key, value string) (err error) {
	switch key {
	case "work":
		c.work = value
	case "flags":
		c.flags = strings.Fields(value)
	case "needs":
		c.needs = strings.Fields(value)
	case "since":
		c.since = value
	case "status":
		c.status, err = strconv.Atoi(value)
	case "stderr":
		c.stderr = append(c.stderr, value)
	case "warns":
		c.warns = value == "yes"
	case "compare":
		c.match = value == "match"
	case "long":
		c.long = value == "yes"
	case "peer":
		c.peer = value
	}
	return err
}

// compare says how out differs from what c expects; "" if it does not.
func (c *liveCase) compare(out string) string {
	out = strings.Trim(out, "\n")
	if !c.match {
		if out != c.want {
			return fmt.Sprintf("stdout:\n%s\nwant:\n%s", out, c.want)
		}
		return ""
	}
	lines := strings.Split(out, "\n")
	for want := range strings.SplitSeq(c.want, "\n") {
		re, err := regexp.Compile("^(?:" + want + ")$")
		if err != nil {
			return err.Error()
		}
		i := slices.IndexFunc(lines, re.MatchString)
		if i < 0 {
			return fmt.Sprintf("stdout:\n%s\nhas no line, or none in this order, like:\n%s", out, want)
		}
		lines = lines[i+1:]
	}
	return ""
}

func TestParseCases(t *testing.T) {
	cases, err := parseCases("x.txt", `A comment.
-- one --
work: read 5
needs: kprobe loop
status: 3
begin { exit(3); }
====
a
b

-- two --
uprobe:WORK:f { @ = 1; }
====
@: 1
`)
	if err != nil || len(cases) != 2 {
		t.Fatal(cases, err)
	}
	one, two := cases[0], cases[1]
	if one.work != "read 5" || one.status != 3 || len(one.needs) != 2 || one.prog != "begin { exit(3); }" || one.want != "a\nb" {
		t.Errorf("%+v", one)
	}
	if two.prog != "uprobe:WORK:f { @ = 1; }" || two.want != "@: 1" {
		t.Errorf("%+v", two)
	}
	if d := one.compare("\n\na\nb\n\n"); d != "" {
		t.Error(d)
	}
	if one.compare("a\n\nb") == "" {
		t.Error("a blank line in the middle went unnoticed")
	}
	one.match = true
	if d := one.compare("x\na\ny\nb"); d != "" {
		t.Error(d)
	}
	if one.compare("b\na") == "" {
		t.Error("the wrong order went unnoticed")
	}
}
