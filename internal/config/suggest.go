package config

import (
	"maps"
	"slices"
	"strings"
)

// suggest names the setting that was probably meant, as the end of a message.
// name is a key, or an environment variable.
func (r *reader) suggest(name string) string {
	variable := strings.HasPrefix(name, prefix)
	best, distance := "", 4 // more typing errors than three are another word
	for _, key := range slices.Sorted(maps.Keys(r.fields)) {
		candidate := key
		if variable {
			candidate = Variable(key)
		}
		if d := editDistance(name, candidate); d < distance {
			best, distance = candidate, d
		}
	}
	if best == "" && !variable { // the right name in another section, or in none
		last := name[strings.LastIndexByte(name, '.')+1:]
		for _, key := range slices.Sorted(maps.Keys(r.fields)) {
			if strings.HasSuffix(key, "."+last) {
				best = key
				break
			}
		}
	}
	if best == "" {
		return "; remove it, or look the name up in docs/reference/configuration.md"
	}
	return "; did you mean " + best + "?"
}

// editDistance counts the octets to insert, remove or replace (Levenshtein). Names longer than any
// of ours are far from all of them.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
