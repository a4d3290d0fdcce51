/**
 * The controls that look as VS Code's own. This is the only module that knows where they come from: a successor of the
 * webview UI toolkit changes nothing but this file.
 */
import {
  provideVSCodeDesignSystem,
  vsCodeButton,
  vsCodeCheckbox,
  vsCodeDropdown,
  vsCodeOption,
  vsCodeTextField,
  type Button,
  type Checkbox,
  type Dropdown,
  type Option,
  type TextField,
} from '@vscode/webview-ui-toolkit';

/** Before the first control is made. */
export function registerControls(): void {
  provideVSCodeDesignSystem().register(
    vsCodeButton(),
    vsCodeCheckbox(),
    vsCodeDropdown(),
    vsCodeOption(),
    vsCodeTextField(),
  );
}

/** The toolkit's classes by their tags; TypeScript's own table of tags does not have them. */
interface Controls {
  readonly 'vscode-button': Button;
  readonly 'vscode-checkbox': Checkbox;
  readonly 'vscode-dropdown': Dropdown;
  readonly 'vscode-option': Option;
  readonly 'vscode-text-field': TextField;
}

function control<K extends keyof Controls>(tag: K): Controls[K] {
  const made: HTMLElement = document.createElement(tag);
  // registerControls gave each tag its class.
  return made as Controls[K];
}

/** A button whose look and state change. */
export interface ButtonControl {
  readonly element: HTMLElement;
  set(state: { readonly disabled: boolean; readonly title?: string }): void;
}

export function statefulButton(
  content: string | Node,
  onClick: () => void,
  look: ButtonLook = {},
): ButtonControl {
  const element = control('vscode-button');
  dress(element, content, onClick, look);
  return {
    element,
    set({ disabled, title = '' }) {
      if (element.disabled !== disabled) element.disabled = disabled;
      if (element.title !== title) element.title = title;
    },
  };
}

export interface ToggleControl {
  readonly element: HTMLElement;
  checked: boolean;
}

export function checkbox(label: string, onChange: (checked: boolean) => void): ToggleControl {
  const element = control('vscode-checkbox');
  element.textContent = label;
  element.addEventListener('change', () => {
    onChange(element.checked);
  });
  return {
    element,
    get checked() {
      return element.checked;
    },
    set checked(checked) {
      if (element.checked !== checked) element.checked = checked;
    },
  };
}

export interface ButtonLook {
  readonly appearance?: 'primary' | 'secondary' | 'icon';
  /** What a screen reader says where the content is a picture. */
  readonly label?: string;
}

export function button(content: string | Node, onClick: () => void, look: ButtonLook = {}): HTMLElement {
  const element = control('vscode-button');
  dress(element, content, onClick, look);
  return element;
}

function dress(element: Button, content: string | Node, onClick: () => void, look: ButtonLook): void {
  // The label first: an icon button without one names itself.
  if (look.label !== undefined) {
    element.setAttribute('aria-label', look.label);
    element.title = look.label;
  }
  element.appearance = look.appearance ?? 'secondary';
  element.append(content);
  element.addEventListener('click', onClick);
}

export interface TextControl {
  readonly element: HTMLElement;
  value: string;
  /** Says what is wrong with the text; undefined when nothing is. */
  setProblem(problem: string | undefined): void;
}

export function textField(
  look: { readonly label: string; readonly placeholder: string; readonly value: string },
  onInput: (text: string) => void,
): TextControl {
  const element = control('vscode-text-field');
  element.placeholder = look.placeholder;
  // Its content is its label, for screen readers too; the style sheet hides what the placeholder says anyway.
  element.textContent = look.label;
  element.setAttribute('value', look.value);
  element.addEventListener('input', () => {
    onInput(element.value);
  });
  return {
    element,
    get value() {
      return element.value;
    },
    set value(text) {
      element.value = text;
    },
    setProblem(problem) {
      element.classList.toggle('invalid', problem !== undefined);
      element.ariaInvalid = problem === undefined ? null : 'true';
      element.title = problem ?? '';
    },
  };
}

export interface Choice {
  readonly value: string;
  readonly text: string;
}

export interface ChoiceControl {
  readonly element: HTMLElement;
  /** Replaces the choices and the chosen one. */
  set(choices: readonly Choice[], chosen: string): void;
}

export function dropdown(label: string, onChange: (value: string) => void): ChoiceControl {
  const element = control('vscode-dropdown');
  element.setAttribute('aria-label', label);
  let shown = '';
  element.addEventListener('change', () => {
    onChange(element.value);
  });
  return {
    element,
    set(choices, chosen) {
      // Rebuilding an open list would close it under the pointer.
      const signature = JSON.stringify([choices, chosen]);
      if (signature === shown) return;
      shown = signature;
      element.replaceChildren(...choices.map(option));
      element.value = chosen;
    },
  };
}

function option({ value, text }: Choice): Option {
  const element = control('vscode-option');
  element.value = value;
  element.textContent = text;
  return element;
}
