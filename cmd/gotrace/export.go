package main

import (
	"os"
	"sync"

	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/output/metrics"
	"github.com/gotrace/gotrace/runtime/output/otlp"
	"github.com/gotrace/gotrace/runtime/output/prometheus"
)

// exporters make the results of sessions available to other systems. The zero value does
// nothing.
type exporters struct {
	metrics *metrics.Collector // nil: no exporters are requested
	server  *prometheus.Server
	otlp    *otlp.Exporter
}

// export starts the exporters that the command line requests, before anything else.
func (a *app) export() (*exporters, error) {
	e := &exporters{}
	if a.opt.prometheus == "" && a.opt.otlp == "" {
		return e, nil
	}
	var mu sync.Mutex // exporters have goroutines of their own
	warn := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		a.report.warnf("%s", text)
	}
	e.metrics = &metrics.Collector{Warn: warn}
	e.metrics.AddSelf(metrics.Process(version()))
	var err error
	if a.opt.prometheus != "" {
		if e.server, err = prometheus.Listen(a.opt.prometheus, e.metrics); err != nil {
			return e, outline.Errorf("--prometheus: %w", err)
		}
	}
	if a.opt.otlp != "" {
		e.otlp, err = otlp.Start(otlp.Config{Endpoint: a.opt.otlp, Version: version(), Metrics: e.metrics, Warn: warn, Getenv: os.Getenv})
		if err != nil {
			return e, outline.Errorf("--otlp: %w", err)
		}
	}
	return e, nil
}

// sinks sets the sink of a session so that the exporters receive its results too. It
// returns the session's count of lost events, for start. script is the name that
// distinguishes the session from others, or "".
func (e *exporters) sinks(setup *runtime.Setup, script string, spans bool) *metrics.Lost {
	if e.metrics == nil {
		return nil
	}
	setup.KeepMaps = true
	if e.otlp != nil {
		s := e.otlp.NewSink(script)
		setup.Sink, setup.Dated = output.Tee{First: setup.Sink, Second: s}, append(setup.Dated, s)
		switch {
		case spans && setup.Timeline != nil:
			setup.Timeline = timelines{setup.Timeline, s}
		case spans:
			setup.Timeline = s
		}
	}
	lost := metrics.CountLost(setup.Sink)
	setup.Sink = lost
	return lost
}

// timelines passes everything to several timelines.
type timelines []output.Timeline

func (l timelines) At(s output.Stamp) {
	for _, t := range l {
		t.At(s)
	}
}

func (l timelines) Call(s output.Stamp, name string, returns, all bool) {
	for _, t := range l {
		t.Call(s, name, returns, all)
	}
}

// start exports the maps of a session. It returns them, to be removed, or nil.
func (e *exporters) start(s *runtime.Instance, obj *object.Object, script string, lost *metrics.Lost) *metrics.Source {
	if e.metrics == nil {
		return nil
	}
	source := &metrics.Source{Script: script, Maps: s.Snapshot, Limit: obj.Settings.MaxSeries, Lost: lost}
	e.metrics.Add(source)
	return source
}

// end exports the final state of the session, and ends the exporters.
func (e *exporters) end() {
	if e.metrics != nil {
		e.metrics.Refresh()
	}
	var wg sync.WaitGroup // both may have to wait
	if e.otlp != nil {
		wg.Go(e.otlp.Close)
	}
	if e.server != nil {
		wg.Go(e.server.Close)
	}
	wg.Wait()
}
