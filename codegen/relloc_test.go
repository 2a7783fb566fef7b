package codegen_test

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gotrace/gotrace/probes/kernel"
)

// overlay is a file system in which some files are replaced.
type overlay struct {
	fs.FS
	files fstest.MapFS
}

func (o overlay) Open(name string) (fs.File, error) {
	if f, err := o.files.Open(name); err == nil && o.files[name] != nil {
		return f, nil
	}
	return o.FS.Open(name)
}

// TestRelLoc reads a __rel_loc string, whose offset is relative to the end of the word
// that holds it. None of the kernels in the tests has a tracepoint with one.
func TestRelLoc(t *testing.T) {
	z, err := zip.OpenReader("../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	const file = "tracing/events/sched/sched_process_exec/format"
	format, err := fs.ReadFile(z, file)
	if err != nil {
		t.Fatal(err)
	}
	lowered := func(format []byte) string {
		k, err := kernel.FrozenFS(overlay{z, fstest.MapFS{file: {Data: format}}})
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		_, diags := compile(t, k, `tracepoint:sched:sched_process_exec { @ = args.filename; }`, func(stage, s string) {
			if stage == "opt" {
				text = s
			}
		})
		if diags.HasErrors() {
			t.Fatal(diags.All()[0].Render())
		}
		return text
	}
	data := lowered(format)
	rel := lowered(bytes.ReplaceAll(format, []byte("__data_loc"), []byte("__rel_loc")))
	// The word is at byte 8, so the offset is relative to byte 12.
	if n := strings.Count(rel, "const 12\n") - strings.Count(data, "const 12\n"); n != 1 {
		t.Errorf("the offset is not moved by 12:\n%s\nwith __data_loc:\n%s", rel, data)
	}
}
