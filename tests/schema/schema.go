// Package schema checks lines of JSON against the schemas in docs/schema. It is for tests.
package schema

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The schemas. One is nil if the directory of the schemas does not exist, as on a machine to
// which only a test was copied.
var (
	results = sync.OnceValues(func() (*jsonschema.Schema, error) { return load("results.json") })
	reports = sync.OnceValues(func() (*jsonschema.Schema, error) { return load("reports.json") })
	alerts  = sync.OnceValues(func() (*jsonschema.Schema, error) { return load("falco.json") })
	events  = sync.OnceValues(func() (*jsonschema.Schema, error) { return load("tetragon.json") })
	flows   = sync.OnceValues(func() (*jsonschema.Schema, error) { return load("flows.json") })
	lines   = map[string]func() (*jsonschema.Schema, error){
		"flows":    sync.OnceValues(func() (*jsonschema.Schema, error) { return load("observe.json") }),
		"requests": sync.OnceValues(func() (*jsonschema.Schema, error) { return load("requests.json") }),
	}
)

func load(name string) (*jsonschema.Schema, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for {
		file := filepath.Join(dir, "docs/schema", name)
		if _, err := os.Stat(file); err == nil {
			return jsonschema.NewCompiler().Compile(file)
		}
		if dir == filepath.Dir(dir) {
			return nil, nil
		}
		dir = filepath.Dir(dir)
	}
}

// Results returns an error if a line of text is not a result of -f json. Empty lines are
// not checked.
func Results(text []byte) error { return check(text, results) }

// Reports returns an error if a line of text is not JSON of gotrace explain or gotrace
// --info.
func Reports(text []byte) error { return check(text, reports) }

// Alerts returns an error if a line of text is not an alert of a rule of Falco.
func Alerts(text []byte) error { return check(text, alerts) }

// Events returns an error if a line of text is not an event of a policy of Tetragon.
func Events(text []byte) error { return check(text, events) }

// View returns an error if a line of text is not JSON of gotrace flows or gotrace
// requests.
func View(name string, text []byte) error { return check(text, lines[name]) }

// Flows returns an error if a line of text is not a flow of a network policy.
func Flows(text []byte) error { return check(text, flows) }

func check(text []byte, schema func() (*jsonschema.Schema, error)) error {
	s, err := schema()
	if s == nil || err != nil {
		return err
	}
	var errs []error
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err == nil {
			err = s.Validate(v)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", line, err))
		}
	}
	return errors.Join(errs...)
}
