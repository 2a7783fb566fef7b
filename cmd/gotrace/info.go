package main

import (
	"fmt"
	"io"
	"path/filepath"
	goruntime "runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
)

// info prints the features of this kernel and returns the exit status.
func (a *app) info() int {
	var u unix.Utsname
	unix.Uname(&u)
	w := a.stdout
	fmt.Fprintf(w, "System\n  OS: %s %s %s\n  Arch: %s\n  CPUs: %d\n\n", cstr(u.Sysname[:]), cstr(u.Release[:]), cstr(u.Version[:]), cstr(u.Machine[:]), a.kernel.NumCPU())
	fmt.Fprintf(w, "Build\n  version: %s\n  language: bpftrace %s\n  compiler: %s\n\n", version(), language, goruntime.Version())
	a.section(w, "Kernel helpers", probes.FeatFuncIP, probes.FeatLoop, probes.FeatForEachMap, probes.FeatTaskBTF,
		probes.FeatCookie, probes.FeatLookupPerCPU, probes.FeatKtimeTai, probes.FeatRdonlyCast)
	a.section(w, "Kernel features", probes.FeatRingBuf, probes.FeatISAv4, probes.FeatAtomicFetch, probes.FeatTCX)
	_, err := a.kernel.Type("struct task_struct")
	modules, _ := filepath.Glob("/sys/kernel/btf/*")
	fmt.Fprintf(w, "  btf: %s\n  module btf: %s\n\n", yesNo(err == nil), yesNo(len(modules) > 1))
	a.section(w, "Probe types", probes.FeatKprobe, probes.FeatKprobeMulti, probes.FeatKprobeSession, probes.FeatUprobeMulti, probes.FeatFentry, probes.FeatTracingMulti)
	fmt.Fprintf(w, "  iter: %s\n", yesNo(len(a.kernel.Iterators()) > 0))
	if err := privileges(); err != nil {
		fmt.Fprintf(w, "\nPrivileges\n  %v\n", err)
	}
	return statusOK
}

func (a *app) section(w io.Writer, title string, feats ...probes.Feature) {
	fmt.Fprintln(w, title)
	for _, f := range feats {
		line := fmt.Sprintf("  %s: %s", featureName(f), yesNo(a.kernel.Has(f)))
		if since := a.kernel.Since(f); since != "" && !a.kernel.Has(f) {
			if kernel.ParseRelease(since).Less(a.kernel.Release()) {
				line += " (this kernel is built without it, or does not permit it)"
			} else {
				line += " (since Linux " + since + ")"
			}
		}
		fmt.Fprintln(w, line)
	}
	if title != "Kernel features" && title != "Probe types" {
		fmt.Fprintln(w)
	}
}

// featureName returns the name by which other tools list a feature.
func featureName(f probes.Feature) string {
	switch f {
	case probes.FeatLookupPerCPU:
		return "lookup_percpu_elem"
	case probes.FeatKtimeTai:
		return "get_tai_ns"
	}
	return strings.TrimPrefix(string(f), "bpf_")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func cstr(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}
