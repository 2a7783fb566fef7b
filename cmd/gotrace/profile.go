package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/output/perfetto"
	"github.com/gotrace/gotrace/runtime/output/picture"
	"github.com/gotrace/gotrace/runtime/output/profile"
)

// resultFile is a file that is written when the session has ended.
type resultFile struct {
	flag, name string
	needs      need
	// write is nil for the timeline.
	write func(w io.Writer, r picture.Results) error
}

// need is the kind of data from which a file is written.
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
		{"perfetto", o.perfetto, everything, nil},
	}
	given := all[:0]
	for _, f := range all {
		if f.name != "" {
			given = append(given, f)
		}
	}
	return given
}

// results collects the data for resultFiles. It is empty if there are none.
type results struct {
	files   []resultFile
	history *picture.History
	events  *picture.Events
	// The timeline is written while the session runs, to a file that is open all the time.
	timeline     *perfetto.Writer
	timelineFile *output.File
	began        time.Time
}

// openResults prepares the files of results. It returns an error if one could not be
// written after the session.
func (a *app) openResults(obj *object.Object, setup *runtime.Setup) (_ *results, err error) {
	r := &results{files: a.resultFiles()}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	for _, f := range r.files {
		switch {
		case f.needs == ofStacks && !runtime.HasStackKeys(obj, a.defs()):
			return nil, outline.Errorf("--%s needs a map with stacks as its keys, such as @[ustack] = count()", f.flag)
		case f.needs == ofMaps && len(obj.Maps) == 0:
			return nil, outline.Errorf("--%s needs a map, such as @[comm] = count()", f.flag)
		}
		if err := output.CheckFile(f.name); err != nil {
			return nil, outline.Errorf("--%s: cannot write %s: %w", f.flag, f.name, bare(err))
		}
		if fd, ok := output.Descriptor(f.name); ok && fd == 1 && a.opt.output == "" {
			return nil, outline.Errorf("--%s %s: the script's results are written to standard output too: write them elsewhere with -o FILE", f.flag, f.name)
		}
		if f.write == nil {
			if err := r.openTimeline(f.name, setup); err != nil {
				return nil, outline.Errorf("--%s: cannot write %s: %w", f.flag, f.name, bare(err))
			}
		}
		if f.write != nil && f.needs != ofStacks && r.history == nil {
			r.history = picture.NewHistory(time.Now())
			setup.Samplers = append(setup.Samplers, r.history)
			setup.SampleTop = picture.MaxSampled
		}
		if f.write != nil && f.needs == everything {
			r.events = picture.NewEvents(setup.Sink)
			setup.Sink = r.events
		}
	}
	if len(r.files) > 0 {
		// If no one reads standard output any more, writing fails instead of ending the
		// process, and the files are still written.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	}
	setup.Profiles = slices.ContainsFunc(r.files, func(f resultFile) bool { return f.write != nil })
	setup.KeepMaps = setup.KeepMaps || len(r.files) > 0
	return r, nil
}

// write writes the files. It goes on after errors, and returns all of them.
func (r *results) write(s *runtime.Instance) (errs []error) {
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
		var err error
		if f.write == nil {
			err = r.closeTimeline()
		} else {
			err = output.WriteFile(f.name, func(w *os.File) error { return f.write(w, all) })
		}
		switch {
		case errors.Is(err, profile.ErrNoStacks):
			errs = append(errs, outline.Errorf("--%s: no stack was counted, so %s was not written", f.flag, f.name))
		case errors.Is(err, picture.ErrNothing):
			errs = append(errs, outline.Errorf("--%s: the maps have nothing to draw, so %s was not written", f.flag, f.name))
		case err != nil:
			errs = append(errs, outline.Errorf("--%s: cannot write %s: %w", f.flag, f.name, bare(err)))
		}
	}
	return errs
}

// openTimeline opens the file of --perfetto, to which the session then writes.
func (r *results) openTimeline(name string, setup *runtime.Setup) (err error) {
	if r.timelineFile, err = output.CreateFile(name); err != nil {
		return err
	}
	r.timeline = perfetto.New(r.timelineFile, setup.Sink)
	setup.Sink, setup.Timeline = r.timeline, r.timeline
	setup.Samplers = append(setup.Samplers, r.timeline)
	setup.SampleTop = max(setup.SampleTop, perfetto.MaxSampled)
	return nil
}

// closeTimeline completes the timeline.
func (r *results) closeTimeline() error {
	f := r.timelineFile
	r.timelineFile = nil
	if err := r.timeline.Close(); err != nil {
		f.Discard()
		return err
	}
	return f.Commit()
}

// close removes incomplete files.
func (r *results) close() {
	if r.timelineFile != nil {
		r.timelineFile.Discard()
	}
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
