package cli

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"

	"github.com/sealpost/sealpost/internal/config"
)

type serveCmd struct{}

// Run serves until the context ends.
func (serveCmd) Run(ctx context.Context, s *session) error {
	if s.env.Run == nil {
		return errors.New("this program was built without its server")
	}
	cfg, _, err := s.loadConfig()
	if err != nil {
		return err
	}
	if err := cfg.CheckFiles(); err != nil {
		return &ExitError{ExitUsage, err}
	}
	return s.env.Run(ctx, cfg)
}

type checkConfigCmd struct{}

// Run reports all mistakes, or the settings that differ from their defaults.
func (checkConfigCmd) Run(s *session) error {
	cfg, path, err := s.loadConfig()
	if err == nil {
		err = cfg.CheckFiles()
	}
	if err != nil && s.json() {
		return s.configMistakes(path, err)
	}
	if err != nil {
		return err
	}
	if s.json() {
		changed := map[string]string{}
		for _, c := range cfg.Changed() {
			changed[c.Key] = c.Value
		}
		return s.writeValue(struct {
			Valid   bool              `json:"valid"`
			File    string            `json:"file"`
			Changed map[string]string `json:"changed"` // as TOML writes them
		}{true, path, changed})
	}
	if path == "" {
		path = "the environment"
	}
	if err := s.say("%s is in order. Settings that differ from their defaults:", path); err != nil {
		return err
	}
	t := &table{none: "none"}
	for _, c := range cfg.Changed() {
		t.add(c.Key, c.Value)
	}
	return t.write(s.env.Stdout)
}

// configMistakes prints mistakes for programs.
func (s *session) configMistakes(path string, err error) error {
	type problem struct {
		Where  string `json:"where"`
		Field  string `json:"field"`
		Value  string `json:"value"`
		Remedy string `json:"remedy"`
	}
	problems := []problem{}
	if all, ok := errors.AsType[*config.Error](err); ok {
		for _, p := range all.Problems {
			problems = append(problems, problem(p))
		}
	} else {
		problems = append(problems, problem{Remedy: err.Error()})
	}
	if err := s.writeValue(struct {
		Valid    bool      `json:"valid"`
		File     string    `json:"file"`
		Problems []problem `json:"problems"`
	}{false, path, problems}); err != nil {
		return err
	}
	return &ExitError{ExitUsage, errQuiet}
}

type versionCmd struct{}

// Run prints the version of this program.
func (versionCmd) Run(s *session) error {
	if s.json() {
		raw, err := json.Marshal(map[string]string{"name": "sealpost", "version": s.env.Version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
		if err != nil {
			return err
		}
		return s.writeJSON(raw)
	}
	return s.say("sealpost %s (%s, %s/%s)", s.env.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
