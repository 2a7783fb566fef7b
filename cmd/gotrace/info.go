package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
)

// info prints the features of this kernel and returns the exit status.
func (a *app) info() int {
	if a.opt.format == "json" {
		return a.infoJSON()
	}
	var u unix.Utsname
	unix.Uname(&u)
	w := a.stdout
	fmt.Fprintf(w, "System\n  OS: %s %s %s\n  Arch: %s\n  CPUs: %d\n\n", cstr(u.Sysname[:]), cstr(u.Release[:]), cstr(u.Version[:]), cstr(u.Machine[:]), a.kernel.NumCPU())
	fmt.Fprintf(w, "Build\n  version: %s\n  language: bpftrace %s\n  compiler: %s\n\n", version(), language, goruntime.Version())
	a.section(w, "Kernel helpers", infoHelpers)
	a.section(w, "Kernel features", infoFeatures)
	btf, modules := a.hasBTF()
	fmt.Fprintf(w, "  btf: %s\n  module btf: %s\n\n", yesNo(btf), yesNo(modules))
	a.section(w, "Probe types", infoProbes)
	fmt.Fprintf(w, "  iter: %s\n", yesNo(len(a.kernel.Iterators()) > 0))
	fmt.Fprintf(w, "\nPermissions\n")
	for _, r := range restrictions() {
		fmt.Fprintf(w, "  %s: %s\n", r.Name, r.State)
		if r.Limits != "" {
			fmt.Fprintf(w, "      %s\n", r.Limits)
		}
		if r.Way != "" {
			fmt.Fprintf(w, "      %s\n", r.Way)
		}
	}
	return statusOK
}

// The features that info shows, by section.
var (
	infoHelpers = []probes.Feature{probes.FeatFuncIP, probes.FeatLoop, probes.FeatForEachMap, probes.FeatTaskBTF,
		probes.FeatCookie, probes.FeatLookupPerCPU, probes.FeatKtimeTai, probes.FeatRdonlyCast}
	infoFeatures = []probes.Feature{probes.FeatRingBuf, probes.FeatISAv4, probes.FeatAtomicFetch, probes.FeatTCX}
	infoProbes   = []probes.Feature{probes.FeatKprobe, probes.FeatKprobeMulti, probes.FeatKprobeSession, probes.FeatUprobeMulti, probes.FeatFentry, probes.FeatTracingMulti}
)

// hasBTF reports whether the kernel and its modules have BTF.
func (a *app) hasBTF() (kernel, modules bool) {
	_, err := a.kernel.Type("struct task_struct")
	list, _ := filepath.Glob("/sys/kernel/btf/*")
	return err == nil, len(list) > 1
}

func (a *app) section(w io.Writer, title string, feats []probes.Feature) {
	fmt.Fprintln(w, title)
	for _, f := range feats {
		state, why := a.feature(f)
		if why != "" {
			state += " (" + why + ")"
		}
		fmt.Fprintf(w, "  %s: %s\n", featureName(f), state)
	}
	if title != "Kernel features" && title != "Probe types" {
		fmt.Fprintln(w)
	}
}

// feature returns whether the kernel has a feature: yes, no or unknown, and the reason if
// it does not.
func (a *app) feature(f probes.Feature) (state, why string) {
	if a.kernel.Has(f) && (f != probes.FeatFentry || kernel.LoadsFentry()) {
		return yesNo(true), ""
	}
	since, older := a.kernel.Since(f)
	switch {
	case since == "":
		if !mayLoad() {
			return "unknown", needsCaps
		}
		return yesNo(false), ""
	case older:
		return yesNo(false), "since Linux " + since
	case !mayLoad():
		return "unknown", needsCaps
	}
	return yesNo(false), "this kernel is built without it, or does not permit it"
}

const needsCaps = "finding out needs CAP_BPF and CAP_PERFMON"

// mayLoad reports whether this process may load programs of all kinds.
func mayLoad() bool {
	has := effective()
	return has(unix.CAP_SYS_ADMIN) || has(unix.CAP_BPF) && has(unix.CAP_PERFMON)
}

// infoJSON prints the same as info as one JSON object and returns the exit status.
func (a *app) infoJSON() int {
	type feature struct {
		Name  string `json:"name"`
		State string `json:"state"` // yes, no or unknown
		Why   string `json:"why,omitempty"`
	}
	var data struct {
		Release     string        `json:"release"`
		Arch        string        `json:"arch"`
		CPUs        int           `json:"cpus"`
		Version     string        `json:"version"`
		Language    string        `json:"language"`
		Features    []feature     `json:"features"`
		Permissions []restriction `json:"permissions"`
	}
	var u unix.Utsname
	unix.Uname(&u)
	data.Release, data.Arch, data.CPUs = cstr(u.Release[:]), cstr(u.Machine[:]), a.kernel.NumCPU()
	data.Version, data.Language = version(), language
	for _, f := range slices.Concat(infoHelpers, infoFeatures, infoProbes) {
		state, why := a.feature(f)
		data.Features = append(data.Features, feature{featureName(f), state, why})
	}
	btf, modules := a.hasBTF()
	data.Features = append(data.Features, feature{Name: "btf", State: yesNo(btf)}, feature{Name: "module btf", State: yesNo(modules)})
	for _, k := range probes.Kinds() {
		if k.Alone { // iterators
			data.Features = append(data.Features, feature{Name: k.Name, State: yesNo(len(a.kernel.Iterators()) > 0)})
		}
	}
	data.Permissions = restrictions()
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(struct {
		Type string `json:"type"`
		Data any    `json:"data"`
	}{"info", data}); err != nil {
		a.report.errorf("%v", err)
		return statusError
	}
	return statusOK
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
