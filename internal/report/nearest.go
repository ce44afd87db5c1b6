package report

import "slices"

// Nearest returns the known word that the given one is most likely a misspelling
// of, or "" when none is near: at most two edits away, and not more than half of
// the word. Of equally near ones it is the first in known.
func Nearest(word string, known []string) string {
	best, distance := "", min(2, len(word)/2)+1
	if len(word) > 200 { // no word of ours; do not compute for ever
		return ""
	}
	for _, k := range known {
		if d := edits(word, k); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// edits counts the insertions, deletions, replacements and swaps of neighbours
// that lead from a to b (optimal string alignment,
// https://en.wikipedia.org/wiki/Damerau%E2%80%93Levenshtein_distance).
func edits(a, b string) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, slices.Clone(row)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
