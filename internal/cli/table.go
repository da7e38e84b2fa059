package cli

import (
	"io"
	"strings"
	"unicode/utf8"
)

// maxCell is how many characters of a cell a table shows; JSON has all of them.
const maxCell = 300

// A table is rows for people. Cells may be foreign text.
type table struct {
	head []string // empty: the table has none
	rows [][]string
	none string // printed instead of a table without rows
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write prints the table with its columns aligned.
func (t *table) write(w io.Writer) error {
	if len(t.rows) == 0 && t.none != "" {
		_, err := io.WriteString(w, t.none+"\n")
		return err
	}
	var c columns
	rows := t.rows
	if len(t.head) > 0 {
		rows = append([][]string{t.head}, rows...)
	}
	for _, row := range rows {
		c.widen(row)
	}
	var b strings.Builder
	for _, row := range rows {
		b.WriteString(c.line(row))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// columns are the widths of a table's columns. The zero value has none yet.
type columns struct{ widths []int }

// widen makes room for a row.
func (c *columns) widen(row []string) {
	for i, cell := range row {
		if i == len(c.widths) {
			c.widths = append(c.widths, 0)
		}
		c.widths[i] = max(c.widths[i], utf8.RuneCountInString(shown(cell)))
	}
}

// line returns a row that widen has seen, with its line end.
func (c *columns) line(row []string) string {
	var b strings.Builder
	for i, cell := range row {
		text := shown(cell)
		b.WriteString(text)
		if i < len(row)-1 {
			b.WriteString(strings.Repeat(" ", c.widths[i]-utf8.RuneCountInString(text)+2))
		}
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

// shown is a cell as it is printed.
func shown(cell string) string {
	if cell == "" {
		return "-"
	}
	return cut(clean(cell), maxCell)
}
