/**
 * Types of the parts of `@xterm/headless` 6.0.0 that apex uses. TypeScript does not find the package's own types for the
 * file that the import map names. `_core` is not part of the public interface. It is used for state and operations that the
 * public interface lacks; the tests in `tests/sessions/screen/` fail if another version changes it.
 */
declare module "@xterm/headless" {
  export class Terminal {
    constructor(options: {
      readonly cols: number;
      readonly rows: number;
      readonly scrollback: number;
      readonly allowProposedApi: boolean;
      readonly logLevel: "off";
    });
    readonly cols: number;
    readonly rows: number;
    readonly buffer: { readonly active: ScreenBuffer; readonly normal: ScreenBuffer };
    readonly modes: TerminalModes;
    readonly parser: { registerOscHandler(ident: number, callback: () => boolean): unknown };
    readonly unicode: { register(provider: WidthProvider): void; activeVersion: string };
    readonly _core: TerminalCore;
    onTitleChange(listener: (title: string) => void): unknown;
    resize(columns: number, rows: number): void;
    reset(): void;
    dispose(): void;
  }

  /** Colours and attributes of a cell, or of the next character that is written. */
  export interface Style {
    getFgColor(): number;
    getBgColor(): number;
    isFgRGB(): boolean;
    isBgRGB(): boolean;
    isFgPalette(): boolean;
    isBgPalette(): boolean;
    isBold(): number;
    isDim(): number;
    isItalic(): number;
    isUnderline(): number;
    isBlink(): number;
    isInverse(): number;
    isInvisible(): number;
    isStrikethrough(): number;
    isOverline(): number;
  }

  export interface Cell extends Style {
    /** 0 for the right half of a wide character. */
    getWidth(): number;
    getChars(): string;
  }

  export interface ScreenBuffer {
    readonly type: "normal" | "alternate";
    readonly cursorX: number;
    /** Counted from the top of the screen, which is line `baseY`. */
    readonly cursorY: number;
    readonly baseY: number;
    readonly length: number;
    getLine(y: number): BufferLine | undefined;
  }

  export interface BufferLine {
    /** It continues the line above it. */
    readonly isWrapped: boolean;
    /** In cells. */
    readonly length: number;
    getCell(x: number): Cell | undefined;
    translateToString(trimRight: boolean): string;
  }

  export interface TerminalModes {
    readonly applicationCursorKeysMode: boolean;
    readonly applicationKeypadMode: boolean;
    readonly bracketedPasteMode: boolean;
    readonly insertMode: boolean;
    readonly mouseTrackingMode: "none" | "x10" | "vt200" | "drag" | "any";
    readonly originMode: boolean;
    readonly reverseWraparoundMode: boolean;
    readonly sendFocusMode: boolean;
    readonly wraparoundMode: boolean;
  }

  export interface WidthProvider {
    readonly version: string;
    wcwidth(codePoint: number): 0 | 1 | 2;
    /** `state << 3 | width << 1 | joins`; `preceding` is the value for the character before, or 0 for the first one. */
    charProperties(codePoint: number, preceding: number): number;
  }

  export interface SavedCursor {
    readonly savedX: number;
    /** Counted from the first line of the scrollback. */
    readonly savedY: number;
    readonly savedCurAttrData: Style;
    /** Added by apex: whether the origin mode was on when the cursor was saved. */
    savedOrigin?: boolean;
  }

  /** The buffer that output is written to. */
  export interface ActiveBuffer {
    /** The cursor's column; `cols` when it is behind the last column. */
    x: number;
    readonly y: number;
    readonly ybase: number;
    readonly lines: { get(index: number): WritableLine };
  }

  export interface WritableLine {
    setCellFromCodepoint(x: number, codePoint: number, width: number, style: Style): void;
  }

  export interface TerminalCore {
    readonly _inputHandler: {
      readonly _curAttrData: Style;
      readonly _activeBuffer: ActiveBuffer;
      print(data: Uint32Array, start: number, end: number): void;
      parse(bytes: Uint8Array): unknown;
      saveCursor(): boolean;
      restoreCursor(): boolean;
    };
    readonly unicodeService: { readonly _activeProvider: WidthProvider };
    readonly coreService: {
      readonly isCursorHidden: boolean;
      readonly modes: { readonly insertMode: boolean };
      readonly decPrivateModes: {
        origin: boolean;
        readonly cursorStyle?: "block" | "underline" | "bar";
        readonly cursorBlink?: boolean;
      };
    };
    readonly coreMouseService: { readonly activeEncoding: "DEFAULT" | "SGR" | "SGR_PIXELS" };
    readonly _charsetService: {
      readonly glevel: number;
      /** The character set in use; undefined for ASCII. */
      readonly charset: Readonly<Record<string, string>> | undefined;
      readonly _charsets: readonly (Readonly<Record<string, string>> | undefined)[];
    };
    readonly buffer: SavedCursor & { readonly scrollTop: number; readonly scrollBottom: number };
    readonly buffers: { readonly normal: SavedCursor };
    /** Like the public method of `parser`, but a handler may change the `params` that the handlers after it get. */
    registerCsiHandler(
      id: { readonly final: string; readonly intermediates?: string },
      callback: (params: { readonly params: { [index: number]: number } }) => boolean,
    ): unknown;
  }
}
