// Package migrations holds the schema as numbered goose migrations, embedded in
// the binary and applied in order when a database is opened. goose records what
// was applied in its table goose_db_version.
//
// To change the schema add a file 0000N_what_it_is_for.sql with an Up and a Down
// part; a released file is never edited, since databases in the field have already
// applied it. Prefer additions. Leave the transaction to goose (no NO TRANSACTION),
// so that a migration is applied whole or not at all, and rewrite no large table.
// Then run make generate and, for the snapshot of the effective schema,
//
//	go test ./migrations -update
//
// so that a pull request shows the result of all steps beside the new one.
package migrations

import "embed"

// FS holds the migrations, named as goose expects them.
//
//go:embed *.sql
var FS embed.FS
