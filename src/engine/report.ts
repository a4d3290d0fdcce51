import { writeFileAtomically } from '../checkpoint/write/atomicFile';
import type { AuditDocument } from './document';
import type { ReportFormat } from './protocol';
import { renderCsvHeader, renderCsvRows } from './report/csv';
import { renderJson } from './report/json';
import { renderMarkdown } from './report/markdown';

/** An audit as the text that the CLI's `--format` of the same name gives, layers in file order. */
export function renderReport(document: AuditDocument, format: ReportFormat): string {
  switch (format) {
    case 'json':
      return renderJson(document);
    case 'csv':
      return renderCsvHeader() + renderCsvRows(document, 'order');
    case 'markdown':
      return renderMarkdown(document, 'order');
  }
}

/**
 * Writes a report to a file, complete or not at all.
 * @throws the file system's error.
 */
export function writeReport(document: AuditDocument, format: ReportFormat, target: string): void {
  writeFileAtomically(target, renderReport(document, format));
}
