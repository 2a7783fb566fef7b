package main

import (
	"fmt"

	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/output/metrics"
	"github.com/gotrace/gotrace/runtime/output/prometheus"
)

// exporters make the results of a session available to other systems. The zero value does
// nothing.
type exporters struct {
	metrics *metrics.Collector // nil: none are requested
	server  *prometheus.Server
	limit   int // number of series of a map
	lost    *metrics.Lost
}

// export starts the exporters that the command line requests, before the script is loaded.
func (a *app) export(obj *object.Object) (*exporters, error) {
	e := &exporters{}
	if a.opt.prometheus == "" {
		return e, nil
	}
	e.metrics = &metrics.Collector{Warn: func(text string) { a.report.warnf("%s", text) }}
	e.limit = obj.Settings.MaxSeries
	e.metrics.AddSelf(metrics.Process(version()))
	var err error
	if e.server, err = prometheus.Listen(a.opt.prometheus, e.metrics); err != nil {
		return e, fmt.Errorf("--prometheus: %w", err)
	}
	return e, nil
}

// sink returns the sink for a session whose results go to s.
func (e *exporters) sink(s output.Sink) output.Sink {
	if e.metrics == nil {
		return s
	}
	e.lost = metrics.CountLost(s)
	e.metrics.AddSelf(func() []metrics.Family { return []metrics.Family{e.lost.Family("")} })
	return e.lost
}

// start exports the maps of a session.
func (e *exporters) start(s *runtime.Session) {
	if e.metrics != nil {
		e.metrics.Add(&metrics.Source{Maps: s.Snapshot, Limit: e.limit})
	}
}

// end exports what the session had at its end, and ends the exporters.
func (e *exporters) end() {
	if e.metrics != nil {
		e.metrics.Refresh()
	}
	if e.server != nil {
		e.server.Close()
	}
}
