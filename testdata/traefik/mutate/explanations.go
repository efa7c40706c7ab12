package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// explanations say why mutants may survive, by file, function and change. Under a file, "whole" explains all.
type explanations map[string]explained

type explained struct {
	Whole     string                       `yaml:"whole"`
	Functions map[string]map[string]string `yaml:",inline"`
}

func readExplanations(path string) (explanations, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	all := explanations{}
	if err := yaml.Unmarshal(data, &all); err != nil { // also refuses a key that is there twice
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

// of returns the explanation of a place; empty if there is none.
func (e explanations) of(p place) string {
	file := e[p.file]
	if own := file.Functions[p.function][p.change]; own != "" {
		return own
	}
	return file.Whole
}

// stale tells which explanations belong to none of survivors, among those of the files and changes that were looked for.
func (e explanations) stale(survivors []*mutant, looked func(place) bool) []string {
	alive, files := map[place]bool{}, map[string]bool{}
	for _, m := range survivors {
		alive[m.place] = true
		files[m.place.file] = true
	}
	list := []string{}
	for name, file := range e {
		if file.Whole != "" && !files[name] && looked(place{file: name}) {
			list = append(list, name+": whole")
		}
		for function, changes := range file.Functions {
			for change, text := range changes {
				p := place{name, function, change}
				if (!alive[p] || strings.TrimSpace(text) == "") && looked(p) {
					list = append(list, name+": "+p.String())
				}
			}
		}
	}
	sort.Strings(list)
	return list
}
