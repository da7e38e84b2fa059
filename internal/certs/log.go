package certs

import (
	"context"
	"log/slog"

	"go.uber.org/zap/zapcore"
)

// A core takes what certmagic logs into our log. What it tells in passing is for debugging. Its
// errors are warnings: it tries again, and whether a certificate was obtained in the end we
// say ourselves, once.
type core struct {
	log    *slog.Logger
	fields []zapcore.Field
}

var _ zapcore.Core = (*core)(nil)

func level(l zapcore.Level) slog.Level {
	if l >= zapcore.WarnLevel {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// Enabled implements zapcore.Core.
func (c *core) Enabled(l zapcore.Level) bool {
	return c.log.Enabled(context.Background(), level(l))
}

// With implements zapcore.Core.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{log: c.log, fields: append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

// Check implements zapcore.Core.
func (c *core) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements zapcore.Core. Values are written by our handler, which quotes them.
func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range append(c.fields[:len(c.fields):len(c.fields)], fields...) {
		f.AddTo(values)
	}
	attrs := make([]slog.Attr, 0, len(values.Fields)+1)
	attrs = append(attrs, slog.String("acme", e.Message))
	for name, value := range values.Fields {
		attrs = append(attrs, slog.Any(name, value))
	}
	c.log.LogAttrs(context.Background(), level(e.Level), "certificate manager", attrs...)
	return nil
}

// Sync implements zapcore.Core.
func (c *core) Sync() error { return nil }
