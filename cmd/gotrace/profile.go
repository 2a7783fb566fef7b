package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/output/profile"
)

// profileFile is a file that is written when the session has ended.
type profileFile struct {
	flag, name string
	write      func(w io.Writer, maps []output.Map, run profile.Run) error
}

// profiles returns the files that the command line requests.
func (a *app) profiles() []profileFile {
	all := []profileFile{
		{"folded", a.opt.folded, func(w io.Writer, maps []output.Map, _ profile.Run) error { return profile.WriteFolded(w, maps) }},
		{"pprof", a.opt.pprof, profile.WritePprof},
		{"svg", a.opt.svg, func(w io.Writer, maps []output.Map, run profile.Run) error {
			title := fmt.Sprintf("gotrace, %s, %s", run.Start.Format(time.DateTime), run.Duration.Round(time.Millisecond))
			return profile.WriteSVG(w, title, maps)
		}},
	}
	given := all[:0]
	for _, f := range all {
		if f.name != "" {
			given = append(given, f)
		}
	}
	return given
}

// checkProfiles returns an error if the profiles could not be written after the
// session.
func (a *app) checkProfiles(obj *object.Object) error {
	for _, f := range a.profiles() {
		if !runtime.HasStackKeys(obj, a.defs()) {
			return fmt.Errorf("--%s needs a map with stacks as its keys, such as @[ustack] = count()", f.flag)
		}
		st, err := os.Stat(filepath.Dir(f.name))
		if err == nil && !st.IsDir() {
			err = errors.New("its directory is a file")
		}
		if st, serr := os.Stat(f.name); serr == nil && st.IsDir() {
			err = errors.New("it is a directory")
		}
		if err != nil {
			return fmt.Errorf("--%s: cannot write %s: %w", f.flag, f.name, bare(err))
		}
	}
	return nil
}

// writeProfiles writes the files. If no stack was counted, it reports that and writes
// none.
func (a *app) writeProfiles(s *runtime.Session, began time.Time) error {
	files := a.profiles()
	if len(files) == 0 {
		return nil
	}
	maps, err := s.Snapshot()
	if err != nil {
		return err
	}
	run := profile.Run{Start: began, Duration: time.Since(began)}
	for _, f := range files {
		err := profile.WriteFile(f.name, func(w *os.File) error { return f.write(w, maps, run) })
		if errors.Is(err, profile.ErrNoStacks) {
			a.report.errorf("--%s: no stack was counted, so %s was not written", f.flag, f.name)
			continue
		}
		if err != nil {
			return fmt.Errorf("--%s: cannot write %s: %w", f.flag, f.name, bare(err))
		}
	}
	return nil
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
