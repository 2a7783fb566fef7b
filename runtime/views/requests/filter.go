package requests

import (
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

// Filter selects requests. The zero value selects all.
type Filter struct {
	Ports          []uint16 // of the server
	Slow           time.Duration
	Op, Host       []string // exactly, in upper or lower case
	Target         []string // patterns with *
	Status         []string // 404, 4xx, >=500, OK
	Peer           []netip.Prefix
	Server, Client bool // only that side
	Failed         bool
}

// Check returns an error if a part of the filter is not valid.
func (f *Filter) Check() error {
	for _, s := range f.Status {
		if op, n := relation(s); op != "" {
			if _, err := strconv.Atoi(n); err != nil {
				return outline.Errorf("the status %q has no number after %s", s, op)
			}
		}
	}
	for _, p := range f.Target {
		if _, err := path.Match(p, ""); err != nil {
			return outline.Errorf("%q is not a valid pattern", p)
		}
	}
	if f.Server && f.Client {
		return outline.Errorf("--server and --client cannot be combined")
	}
	return nil
}

// match reports whether the filter selects a request.
func (f *Filter) match(r *Request) bool {
	return r.Latency >= f.Slow && (!f.Server || r.Server) && (!f.Client || !r.Server) && (!f.Failed || r.Failed) &&
		anyOf(f.Op, func(s string) bool { return strings.EqualFold(s, r.Op) }) &&
		anyOf(f.Host, func(s string) bool { return strings.EqualFold(s, r.Host) }) &&
		anyOf(f.Target, func(s string) bool { return wildcard.Match(s, r.Target) }) &&
		anyOf(f.Status, func(s string) bool { return hasStatus(s, r.Status) }) &&
		anyOf(f.Peer, func(p netip.Prefix) bool { return p.Contains(r.Peer.Addr()) })
}

// anyOf reports whether there are no values, or one of them matches.
func anyOf[T any](list []T, matches func(T) bool) bool {
	for _, v := range list {
		if matches(v) {
			return true
		}
	}
	return len(list) == 0
}

// relation returns the sign at the start of the text of a status, if it has one, and the
// rest.
func relation(s string) (op, rest string) {
	for _, op := range []string{">=", "<=", "!=", ">", "<", "="} {
		if rest, ok := strings.CutPrefix(s, op); ok {
			return op, rest
		}
	}
	return "", s
}

// hasStatus reports whether a status is that of a filter: 404, 4xx, >=500 or a word.
func hasStatus(want, status string) bool {
	op, limit := relation(want)
	n, err := strconv.Atoi(status)
	m, merr := strconv.Atoi(limit)
	if op != "" {
		if err != nil || merr != nil {
			return false
		}
		return map[string]bool{">=": n >= m, "<=": n <= m, "!=": n != m, ">": n > m, "<": n < m, "=": n == m}[op]
	}
	if digit, ok := strings.CutSuffix(strings.ToLower(want), "xx"); ok && len(status) == 3 {
		return strings.HasPrefix(status, digit)
	}
	return strings.EqualFold(want, status)
}
