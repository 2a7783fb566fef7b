package live

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// save writes the table or the output that is shown to the file whose name was typed.
func (m *model) save() {
	name := m.typed
	err := m.saveTo(name)
	var pe *fs.PathError
	switch {
	case err == nil:
		m.message = "saved as " + printable(name)
	case errors.Is(err, fs.ErrExist):
		m.message = fmt.Sprintf("not saved: %s exists", printable(name))
	case errors.As(err, &pe):
		m.message = fmt.Sprintf("not saved: %s: %v", printable(name), pe.Err)
	default:
		m.message = fmt.Sprintf("not saved: %s: %v", printable(name), err)
	}
}

// saveTo writes to a new file. If that fails, there is none.
func (m *model) saveTo(name string) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(name)
		}
	}()
	err = m.write(f, filepath.Ext(name) == ".json")
	return errors.Join(err, f.Close())
}

// write writes the table or the output that is shown: all lines that match the filter.
func (m *model) write(w io.Writer, json bool) error {
	out := output.NewWriter(w, output.Full)
	t := m.table()
	switch {
	case t == nil && json:
		sink := output.NewJSON(out, output.Style{})
		for _, l := range m.out.all() {
			sink.Value(value.Str{S: l})
		}
	case t == nil:
		for _, l := range m.out.all() {
			io.WriteString(out, l+"\n")
		}
	case json:
		om := output.Map{Name: t.name, Keyed: t.keyed, Metric: t.metric}
		rows := t.view()
		for i := range rows {
			om.Entries = append(om.Entries, value.Entry{Key: rows[i].key, Value: rows[i].value})
		}
		output.NewJSON(out, output.Style{}).Map(om)
	default:
		t.writeText(out)
	}
	return out.Flush()
}

// writeText writes the rows as the view shows them, but whole.
func (t *table) writeText(w io.Writer) {
	rows := t.view()
	cells := func(text func(c *column) string) string {
		var b strings.Builder
		for i := range t.columns {
			if c := &t.columns[i]; c.kind != columnGraph {
				if b.Len() > 0 {
					b.WriteByte('\t')
				}
				b.WriteString(text(c))
			}
		}
		return b.String() + "\n"
	}
	io.WriteString(w, cells(func(c *column) string { return c.name }))
	for _, l := range t.lines(saveWidth) {
		r := &rows[l.row]
		if l.sub == 0 {
			io.WriteString(w, cells(func(c *column) string { return c.text(r) }))
		} else if ds := t.details(r, saveWidth); l.sub <= len(ds) {
			io.WriteString(w, "  "+ds[l.sub-1].text()+"\n")
		}
	}
}

// saveWidth is the width of bars and heatmaps in a file.
const saveWidth = 100
