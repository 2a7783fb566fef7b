package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/output/picture"
	"github.com/gotrace/gotrace/runtime/output/profile"
)

// resultFile is a file that is written when the session has ended.
type resultFile struct {
	flag, name string
	needs      need
	write      func(w io.Writer, r picture.Results) error
}

// need is what a file is written from.
type need uint8

const (
	ofStacks   need = iota // maps with stacks in their keys
	ofMaps                 // maps
	everything             // maps and the output
)

// resultFiles returns the files that the command line requests.
func (a *app) resultFiles() []resultFile {
	o := a.opt
	all := []resultFile{
		{"folded", o.folded, ofStacks, func(w io.Writer, r picture.Results) error { return profile.WriteFolded(w, r.Maps) }},
		{"pprof", o.pprof, ofStacks, func(w io.Writer, r picture.Results) error {
			return profile.WritePprof(w, r.Maps, profile.Run{Start: r.Start, Duration: r.Duration})
		}},
		{"speedscope", o.speedscope, ofStacks, func(w io.Writer, r picture.Results) error {
			return profile.WriteSpeedscope(w, r.Title(), r.Maps)
		}},
		{"svg", o.svg, ofMaps, picture.WriteSVG},
		{"html", o.html, everything, picture.WriteHTML},
	}
	given := all[:0]
	for _, f := range all {
		if f.name != "" {
			given = append(given, f)
		}
	}
	return given
}

// results collects what resultFiles are written from. It is empty if there are none.
type results struct {
	files   []resultFile
	history *picture.History
	events  *picture.Events
	began   time.Time
}

// openResults prepares the files of results. It returns an error if one could not be
// written after the session.
func (a *app) openResults(obj *object.Object, setup *runtime.Setup) (*results, error) {
	r := &results{files: a.resultFiles()}
	for i, f := range r.files {
		switch {
		case f.needs == ofStacks && !runtime.HasStackKeys(obj, a.defs()):
			return nil, fmt.Errorf("--%s needs a map with stacks as its keys, such as @[ustack] = count()", f.flag)
		case f.needs == ofMaps && len(obj.Maps) == 0:
			return nil, fmt.Errorf("--%s needs a map, such as @[comm] = count()", f.flag)
		}
		if err := output.CheckFile(f.name); err != nil {
			return nil, fmt.Errorf("--%s: cannot write %s: %w", f.flag, f.name, bare(err))
		}
		if fd, ok := output.Descriptor(f.name); ok && fd == 1 && a.opt.output == "" {
			return nil, fmt.Errorf("--%s %s: the script's results are written to standard output too: write them elsewhere with -o FILE", f.flag, f.name)
		}
		others := []resultFile{{flag: "output", name: a.opt.output}, {flag: "pcap", name: a.opt.pcap}}
		for _, o := range append(others, r.files[:i]...) {
			if o.name != "" && output.SameFile(o.name, f.name) {
				return nil, fmt.Errorf("--%s and --%s have the same file %s", o.flag, f.flag, f.name)
			}
		}
		if f.needs != ofStacks && r.history == nil {
			r.history = picture.NewHistory(time.Now())
			setup.Sampler, setup.SampleTop = r.history, picture.MaxSampled
		}
		if f.needs == everything {
			r.events = picture.NewEvents(setup.Sink)
			setup.Sink = r.events
		}
	}
	setup.Profiles = len(r.files) > 0
	setup.KeepMaps = setup.KeepMaps || len(r.files) > 0
	return r, nil
}

// write writes the files. It goes on after errors, and returns all of them.
func (r *results) write(s *runtime.Session) (errs []error) {
	if len(r.files) == 0 {
		return nil
	}
	maps, err := s.Snapshot()
	switch {
	case maps == nil:
		return nil // the session failed before it had results, which Run reports
	case err != nil:
		errs = append(errs, err)
	}
	all := picture.Results{Start: r.began, Duration: time.Since(r.began), Maps: maps, History: r.history, Events: r.events}
	for _, f := range r.files {
		err := output.WriteFile(f.name, func(w *os.File) error { return f.write(w, all) })
		switch {
		case errors.Is(err, profile.ErrNoStacks):
			errs = append(errs, fmt.Errorf("--%s: no stack was counted, so %s was not written", f.flag, f.name))
		case errors.Is(err, picture.ErrNothing):
			errs = append(errs, fmt.Errorf("--%s: the maps have nothing to draw, so %s was not written", f.flag, f.name))
		case err != nil:
			errs = append(errs, fmt.Errorf("--%s: cannot write %s: %w", f.flag, f.name, bare(err)))
		}
	}
	return errs
}

// fetchDebug returns a function that fetches debug files from the servers that the
// environment names. It returns nil if there are none. All open binaries share it.
func (a *app) fetchDebug() func(buildID string) string {
	if !a.fetchAsked {
		a.fetchAsked = true
		if d := binary.NewDebuginfod(os.Getenv, a.report.w); d != nil {
			a.fetch = d.Fetch
		}
	}
	return a.fetch
}
