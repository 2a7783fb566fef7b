package flows

import (
	"slices"
	"strings"

	"github.com/gotrace/gotrace/runtime/outline"
)

// Filter selects flows: those that match Allow and do not match Deny. An empty set of
// criteria matches all flows as Allow, and none as Deny.
type Filter struct{ Allow, Deny Set }

// Set has the criteria of each flag. A flow matches it if it matches one of the criteria
// of each flag.
type Set struct {
	flags []string
	of    map[string][]criterion
}

// A criterion is a value of a flag.
type criterion struct {
	// match decides about a flow.
	match func(f *Flow) bool
	// cond is the criterion as a condition of the script, where args has the arguments of
	// the event, $out the direction, and $owner the owner of the socket. It is "" if only
	// match can decide. If loose is set, cond is also true for some flows that do not
	// match.
	cond  string
	loose bool
	// needs is the first stage at which cond can be evaluated.
	needs stage
}

// stage is a place in the script. Stages are in the order in which they run.
type stage uint8

const (
	atPacket stage = iota // the header is known: before the flow's sums
	atOwner               // the owner of the socket is known: before the flow's sums
	atReport              // the packet may be reported
)

// Add adds a criterion: --flag value.
func (s *Set) Add(flag, value string) error {
	row := lookup(flag)
	if row == nil {
		return outline.Errorf("--%s is not a filter", flag)
	}
	c, err := row.parse(value)
	if err != nil {
		return outline.Errorf("--%s %q: %w", flag, value, err)
	}
	if s.of == nil {
		s.of = map[string][]criterion{}
	}
	if !slices.Contains(s.flags, flag) {
		s.flags = append(s.flags, flag)
	}
	s.of[flag] = append(s.of[flag], c)
	return nil
}

// Empty reports whether there are no criteria.
func (s *Set) Empty() bool { return len(s.flags) == 0 }

// has reports whether a flag is given.
func (s *Set) has(flag string) bool { return len(s.of[flag]) > 0 }

func (s *Set) match(f *Flow) bool {
	for _, flag := range s.flags {
		if !slices.ContainsFunc(s.of[flag], func(c criterion) bool { return c.match(f) }) {
			return false
		}
	}
	return true
}

// Match reports whether the filter selects a flow.
func (x *Filter) Match(f *Flow) bool {
	return x.Allow.match(f) && (x.Deny.Empty() || !x.Deny.match(f))
}

// conds returns the conditions under which a flow may be selected, by the stage at which
// they can be evaluated. It leaves out criteria that only match can decide, so the conditions
// hold for all flows that the filter selects.
func (x *Filter) conds() (at [atReport + 1][]string) {
	for _, flag := range x.Allow.flags {
		if cond, needs, _, ok := anyOf(x.Allow.of[flag]); ok {
			at[needs] = append(at[needs], cond)
		}
	}
	if x.Deny.Empty() {
		return at
	}
	var all []string
	last := atPacket
	for _, flag := range x.Deny.flags {
		cond, needs, loose, ok := anyOf(x.Deny.of[flag])
		if !ok || loose || needs == atOwner {
			return at // the script must not drop flows that only match can decide
		}
		all, last = append(all, cond), max(last, needs)
	}
	at[last] = append(at[last], "!("+strings.Join(all, " && ")+")")
	return at
}

// anyOf returns the condition that one of several criteria holds, and whether it is loose.
// ok is false if one of them has no condition.
func anyOf(list []criterion) (cond string, needs stage, loose, ok bool) {
	var parts []string
	for _, c := range list {
		if c.cond == "" {
			return "", 0, false, false
		}
		parts, needs, loose = append(parts, c.cond), max(needs, c.needs), loose || c.loose
	}
	return "(" + strings.Join(parts, " || ") + ")", needs, loose, true
}

// wants reports whether the filter can select flows with a verdict.
func (x *Filter) wants(v Verdict) bool {
	samples := []*Flow{{Verdict: v}}
	if v == Forwarded {
		samples = append(samples, &Flow{Verdict: v, DNS: &DNS{}})
	}
	for _, flag := range []string{"verdict", "type"} {
		list := x.Allow.of[flag]
		ok := len(list) == 0
		for _, c := range list {
			ok = ok || slices.ContainsFunc(samples, c.match)
		}
		if !ok {
			return false
		}
	}
	return v == Dropped || !x.Allow.has("drop-reason")
}
