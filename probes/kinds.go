package probes

import (
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

// Kinds lists all kinds of probes, in the order in which help shows them.
func Kinds() []*Kind { return allKinds.Get() }

var allKinds = lazy.Table[[]*Kind]{New: func() []*Kind {
	list := []*Kind{
		beginKind(), endKind(), selfKind(), testKind(), benchKind(),
		kprobeKind(false), kprobeKind(true),
		fentryKind(false), fentryKind(true),
		tracepointKind(), rawTracepointKind(),
		uprobeKind(false), uprobeKind(true), usdtKind(),
		profileKind(), intervalKind(),
		softwareKind(), hardwareKind(), watchpointKind(),
		iterKind(),
		xdpKind(), tcKind(), cgroupSkbKind(), cgroupSockAddrKind(), sockOpsKind(), skLookupKind(), netfilterKind(), lsmKind(), fmodRetKind(),
	}
	for _, k := range list {
		if k.Expand == nil {
			k.Expand = func(_ *Env, p *Point) ([]*Point, error) { return []*Point{p}, nil }
		}
	}
	return list
}}

// Lookup returns the kind with a name or alias, or nil. Case is ignored unless that is
// ambiguous.
func Lookup(provider string) *Kind {
	// The one-letter aliases differ in case: u is uprobe, U is usdt.
	for _, fold := range []bool{false, true} {
		for _, k := range Kinds() {
			for _, name := range append([]string{k.Name}, k.Aliases...) {
				if name == provider || fold && strings.EqualFold(name, provider) {
					return k
				}
			}
		}
	}
	return nil
}

// Names returns the names of all kinds.
func Names() []string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.Name)
	}
	return names
}

// Matching returns the kinds whose names match a pattern such as "k*". A pattern
// with wildcards does not match kinds without a List.
func Matching(pattern string) []*Kind {
	if !isWild(pattern) {
		if k := Lookup(pattern); k != nil {
			return []*Kind{k}
		}
		return nil
	}
	var list []*Kind
	for _, k := range Kinds() {
		if k.List != nil && matchFold(pattern, k.Name) {
			list = append(list, k)
		}
	}
	return list
}

// isWild reports whether a pattern contains a wildcard.
//
//go:noinline
func isWild(s string) bool { return strings.IndexByte(s, '*') >= 0 }

func matchFold(pattern, s string) bool {
	return wildcard.Match(strings.ToLower(pattern), strings.ToLower(s))
}

// argCount returns an error unless the number of parts after the provider is one of the
// allowed ones.
func argCount(k *Kind, parts []string, allowed ...int) error {
	n := len(parts) - 1
	var list []string
	for _, a := range allowed {
		if n == a {
			return nil
		}
		list = append(list, fmt.Sprint(a))
	}
	return usage("%s"+aboutParts+"requires %s arguments, found %d: write %s", k.Name, strings.Join(list, " or "), n, k.Syntax)
}

// aboutParts is in the errors about the number of parts and about wildcards.
const aboutParts = " probe type "

// usage returns an error about the script's text. It becomes the message of a
// diagnostic.
func usage(format string, args ...any) error { return outline.Errorf(format, args...) }

// noWildcards returns an error if a part contains a wildcard.
func noWildcards(k *Kind, parts []string) error {
	for _, p := range parts[1:] {
		if isWild(p) {
			return usage("%s"+aboutParts+"does not support wildcards", k.Name)
		}
	}
	return nil
}

// listPairs passes the attach points of a kind that have the form NAME:NAME and match a
// pattern to yield, until yield returns false.
func (k *Kind) listPairs(all, pattern []string, yield func(string) bool) {
	for _, pair := range all {
		a, b, _ := strings.Cut(pair, ":")
		if listed(pattern[1:], a, b) && !yield(k.Name+":"+pair) {
			break
		}
	}
}

// listedValue is like listed, for attach points that end with a value, which is empty in
// lists, as in "interval:ms:". The value may be omitted in the pattern.
func listedValue(pattern []string, point ...string) bool {
	if n := len(point); len(pattern) == n+1 && wildcard.Match(pattern[n], "") {
		pattern = pattern[:n]
	}
	return listed(pattern, point...)
}

// listed reports whether a search pattern of -l matches an attach point with the given
// parts. Leading parts may be omitted in the pattern, as in "kprobe:vfs_*" for
// kprobe:vmlinux:vfs_read. A pattern without parts matches everything.
func listed(pattern []string, point ...string) bool {
	if len(pattern) == 0 || len(pattern) == 1 && pattern[0] == "" {
		return true
	}
	if len(pattern) > len(point) {
		return false
	}
	point = point[len(point)-len(pattern):]
	for i, p := range pattern {
		if !wildcard.Match(p, point[i]) {
			return false
		}
	}
	return true
}
